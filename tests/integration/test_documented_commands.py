"""Everything that README.md, SECURITY.md and docs/ set as code is known here: commands of the program are run, others
name what runs them, and what is no command names who reads it. An unknown block or command fails, and so does a row
that no page needs. (Commands with curl: test_documented_curl.py.)"""
import collections
import hashlib
import json
import os
import re
import shlex
import subprocess

import numpy
import pytest

import runner
import tinymodel
from daemon import BINARY, BUILD, ROOT, SANITIZED
from doc_code import documents, pieces, statements
from pictures import BLUE, RED, RED_JPEG

pytestmark = pytest.mark.patient
COMMANDS = "bench classify compress config describe health quantize serve teach version".split()
PROGRAM = re.compile(r"(?:build/)?mobilenetd (\w+)(?: |$)")
SHORT = re.compile(rf"({'|'.join(COMMANDS)}) --\w")  # "bench --grid" in the text
SHELL = re.compile(r"(?:[A-Z_]+=(?:'[^']*'|\S+) )*(?:\S*\./|\.ci/|deploy/|tests/|build[\w-]*/|/usr/bin/)\S+(?: |$)|"
                   r"(?:[A-Z_]+=\S+ )*(?:apt|bench_\w+|docker|git|gpg|grep|install|meson|ninja|npm|openssl|printf|systemctl|zgrep) \S")

# What is too large to run here, by how it begins: a suite of tests/run, a test, or why nothing runs it.
HELD = {
    "./deploy/quickstart": "test_quickstart.py::test_a_cat_and_a_second_run_repeats_nothing",
    "deploy/quickstart": "test_quickstart.py::test_a_photo_of_the_user",
    "deploy/pull": "test_pull.py::test_pull_and_pull_again",
    "docker build": "suite docker",
    "deploy/make-release": "suite ship",
    "MOBILENETD_SIGN=": "suite ship",
    "deploy/static/root": "suite ship",
    "meson setup build-static": "suite ship",
    "deploy/install-packages": "suite docker",
    "meson setup build -Davif=enabled": "suite asan",
    "CC=clang meson setup build-fuzz": "nothing: no clang is asked for",
    "ninja -C build-fuzz": "nothing: no clang is asked for",
    "build-fuzz/tests/fuzz/": "nothing: no clang is asked for",
    "meson setup build-test": "test_add_one.py::test_operator",
    "ninja -C build-test": "test_add_one.py::test_operator",
    "build-test/tests/unit/unit_graph": "test_add_one.py::test_their_own_tests_know_them",
    "build-test/tests/models/run_net": "test_nets.py::test_onnx_runtime_agrees",
    "build-test/tests/bench/bench_kernels": "the build",
    "tests/run": "the run itself",
    "./tests/run": "the run itself",
    "MOBILENETD_BARE=": "suite bare",
    "tests/load/": "suite load",
    "/usr/bin/python3 -m pytest": "the run itself",
    "tests/lib/metrics.py": "suite lint",
    "./.ci/run": "the run itself",
    ".ci/run": "the run itself",
    "git log": "nothing: it is the reader's own",
    "systemctl reload": "test_systemd.py::test_says_when_it_is_ready_alive_and_stopping",
    "apt list": "nothing: what it prints is the reader's machine",
    "zgrep": "nothing: what it prints is the reader's machine",
    "grep -E 'NoNewPrivs": "test_sandbox.py::test_every_thread_is_bound",
    "printf %s": "test_documented_commands.py::test_the_digest_of_a_key",
    "openssl rand": "nothing: a random key",
    "docker run": "suite docker",
    "meson install": "suite ship",
    "dpkg-buildpackage": "suite ship",
    "systemctl enable": "suite ship",
    "systemctl restart": "suite ship",
    "cp deploy/haproxy/": "suite ship",
    "tests/ship/": "suite ship",
}
# Blocks that are no commands, by their first line.
SHOWN = {
    "HAProxy, three replicas": "suite ship",
    '{"model":"colours"': "test_documented_curl.py::test_the_answer_of_teach",
    "config      engine": "suite lint",
    "OP(INVENTED": "test_add_one.py::test_operator",
    "/* An operator that does not exist": "test_add_one.py::test_operator",
    "'ref/ref_invented.c'": "test_add_one.py::test_operator",
    "/* The builder of an operator": "test_add_one.py::test_operator",
    "int eng_tfl_invented": "test_add_one.py::test_operator",
    "'tflite_invented.c'": "test_add_one.py::test_operator",
    "{": "test_documented_commands.py::test_the_manifest",
    '"golden": {': "test_documented_commands.py::test_the_manifest",
    "serve = latest 2": "test_documented_commands.py::test_versions_conf",
    "NAME SCOPES DIGEST": "test_documented_commands.py::test_the_file_of_keys",
    "tls_cert = ": "test_documented_commands.py::test_lines_of_the_configuration",
}


def without_comment(line):
    return re.sub(r"\s+# .*$", "", line) if "'" not in line else line


def found():
    """(page, kind, text): each command, and each block that has none, by its first line."""
    for page, text in documents():
        for kind, _, lines in pieces(text):
            code = [without_comment(s) for s in statements(lines)]
            if any("curl " in s for s in code):
                continue
            of_shell = [s for s in code if PROGRAM.match(s) or SHORT.match(s) or is_shell(s)]
            if kind == "block" and not of_shell:
                yield page, "block", lines[0].strip()
            else:
                for s in code if kind == "block" else of_shell:
                    yield page, "command", s


def is_shell(code):
    """A command, not the bare name of a file that is none."""
    if not SHELL.match(code):
        return False
    words = re.sub(r"[A-Z_]+='[^']*'|[A-Z_]+=\S+", "", code).split()
    return len(words) > 1 or os.access(os.path.join(ROOT, words[0]), os.X_OK) and os.path.isfile(os.path.join(ROOT, words[0])) \
        or words[0].startswith("build-")


FOUND = list(found())
OWN = sorted({s for _, kind, s in FOUND if kind == "command" and (PROGRAM.match(s) or SHORT.match(s))})


def row_of(table, text):
    """The longest row that the text begins with."""
    return max((row for row in table if text.startswith(row)), key=len, default=None)


def test_all_of_it_is_known():
    used, unknown = collections.Counter(), []
    for page, kind, text in FOUND:
        if text in OWN:
            continue
        row = row_of(SHOWN if kind == "block" else HELD, text)
        row = "tests/bench/" if not row and runs_alone(text) else row
        used[row] += 1
        unknown += [f"{page}: {kind} {text}"] if not row else []
    assert not unknown, "\n".join(unknown)
    assert not [row for row in (*HELD, *SHOWN) if not used[row]], "rows that no page needs"
    assert len(FOUND) > 100 and used["tests/bench/"] >= 3


def runs_alone(text):
    """A comparison with peers: nothing runs it whole, but it says what it takes."""
    words = shlex.split(text)
    if not re.match(r"tests/(bench|models)/(?:\w+/)?run$", words[0]):
        return False
    said = subprocess.run([os.path.join(ROOT, words[0]), "--help"], capture_output=True, text=True, timeout=120, check=True).stdout
    return all(w in said for w in words[1:] if w.startswith("-"))


@pytest.mark.parametrize("held", sorted({*HELD.values(), *SHOWN.values()}))
def test_what_holds_it_is_there(held):
    kind, _, name = held.partition(" ")
    if kind == "suite":
        assert name in runner.SUITES
    elif "::" in held:
        file, name = held.split("::")
        with open(os.path.join(ROOT, "tests", "integration", file), encoding="utf-8") as f:
            assert f"def {name}(" in f.read()
    else:
        assert kind == "nothing:" or held in ("the build", "the run itself")


# ---- the program's own commands, run ----

@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A folder in which the commands of the pages make sense."""
    path = tmp_path_factory.mktemp("scratch")
    for name in ("mobilenet_v1_1.0_224", "tiny"):
        tinymodel.write(str(path / "models"), name, 16, embeds=True)
    for name, one in (("red", RED), ("blue", BLUE)):
        (path / "folders" / name).mkdir(parents=True)
        for i in range(3):
            (path / "folders" / name / f"{i}.png").write_bytes(one)
    write_float(path / "models" / "float" / "1")
    (path / "pictures").mkdir()
    for i in range(8):
        (path / "pictures" / f"{i}.png").write_bytes(RED if i % 2 else BLUE)
    (path / "truth.tsv").write_text("".join(f"{i}.png\t{0 if i % 2 else 2}\n" for i in range(8)))
    (path / "photo.jpg").write_bytes(RED_JPEG)
    (path / "build").symlink_to(BUILD)
    (path / "docs").mkdir()
    return path


def write_float(folder):
    """A convolution, a pointwise and the classes, in floats."""
    onnx, numbers = pytest.importorskip("onnx"), pytest.importorskip("onnx.numpy_helper")
    values = numpy.random.default_rng(1)
    shapes = {"w0": (32, 3, 3, 3), "w1": (32, 32, 1, 1), "w2": (3, 32)}
    weights = [numbers.from_array(values.normal(0, 0.3, shape).astype(numpy.float32), name) for name, shape in shapes.items()]
    node = onnx.helper.make_node
    nodes = [node("Conv", ["x", "w0"], ["a"], pads=[1, 1, 1, 1]), node("Relu", ["a"], ["b"]), node("Conv", ["b", "w1"], ["c"]),
             node("Relu", ["c"], ["d"]), node("GlobalAveragePool", ["d"], ["e"]), node("Flatten", ["e"], ["f"]),
             node("Gemm", ["f", "w2"], ["y"], transB=1)]
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
             for name, shape in (("x", (1, 3, 32, 32)), ("y", (1, 3)))]
    graph = onnx.helper.make_graph(nodes, "float", value[:1], value[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


VALUES = {"MODEL": "float", "NAME": "tiny", "DIR": "pictures", "DIR_OF_FOLDERS": "folders", "FILE": "truth.tsv",
          "PICTURE": "photo.jpg", "OUT": "{made}", "NEW": "{made}"}


def prepared(command, made):
    """As words: with its placeholders filled, and as short as may be."""
    words = [VALUES.get(w, w).format(made=made) for w in shlex.split(command.split(" > ")[0])]
    words = words[1:] if PROGRAM.match(command) else words
    if words[0] == "serve":
        return ["config", "--check", *words[1:]]
    return words + (["--seconds", "0.01"] if words[0] == "bench" else [])


@pytest.mark.skipif(SANITIZED, reason="the commands have tests of their own")
@pytest.mark.parametrize("command", OWN)
def test_runs(command, scratch):
    """A command without values is but named: its flags are those of the help."""
    words = shlex.split(command)[1 if PROGRAM.match(command) else 0:]
    named = all(w.startswith("--") for w in words[1:]) and words[0] not in ("config", "version")
    words = [words[0], "--help"] if named else prepared(command, f"made-{OWN.index(command)}")
    done = subprocess.run([BINARY, *words], cwd=scratch, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, (words, done.stderr)
    assert done.stdout or "--check" in words
    if named:
        assert not [w for w in shlex.split(command) if w.startswith("--") and f"{w.split('=')[0]}\n" not in done.stdout
                    and f"{w.split('=')[0]} " not in done.stdout]


# ---- what is no command ----

def block(page, first):
    text = dict(documents())[page]
    lines, = (lines for kind, _, lines in pieces(text) if kind == "block" and lines[0].strip().startswith(first))
    return lines


def test_the_manifest(tmp_path):
    """Both members that the page shows are known to the program: one that is not would be an error."""
    manifest = json.loads("\n".join(block("docs/MODELS.md", "{")))
    golden = json.loads("{" + "\n".join(block("docs/MODELS.md", '"golden"')) + "}")
    tinymodel.write(str(tmp_path), "a", 16)
    folder = os.path.join(tmp_path, "a", "1")
    model, = (name for name in os.listdir(folder) if name.endswith(".tflite"))

    def check(**more):
        with open(os.path.join(folder, "model.json"), "w") as f:
            json.dump({**manifest, "files": [model], "class_offset": 0, **more}, f)
        return subprocess.run([BINARY, "describe", "a", "--models", str(tmp_path)], capture_output=True, text=True, timeout=120,
                              check=False)

    manifest["input"].update(height=16, width=16)
    shown = check()
    assert shown.returncode == 0, shown.stderr
    assert check(unknown=1).returncode != 0
    assert "there is no class 281" in check(**golden).stderr  # read, and held against a model of three classes


def test_versions_conf(tmp_path):
    for version in (1, 3, 4):
        tinymodel.write(str(tmp_path), "a", 16, version=version)
    (tmp_path / "a" / "versions.conf").write_text("\n".join(block("docs/MODELS.md", "serve = ")) + "\n")
    done = subprocess.run([BINARY, "config", "--check", "--models", str(tmp_path)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and "versions.conf" not in done.stderr, done.stderr


def test_the_file_of_keys(tmp_path):
    lines = block("docs/SECURITY.md", "NAME SCOPES")
    keys = tmp_path / "keys"
    keys.write_text("\n".join(re.sub("SHA256-OF-THE-KEY-OF-([A-Z]+)", lambda m: m[1].lower().encode().hex().ljust(64, "7"), line)
                              for line in lines[1:]) + "\n")
    tinymodel.write(str(tmp_path / "models"), "a", 16)
    done = subprocess.run([BINARY, "config", "--check", "--models", str(tmp_path / "models"), "--api-keys", str(keys)],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_lines_of_the_configuration(ca, tmp_path):
    """With files of ours in the place of those that the page names."""
    cert, key = ca.sign("server", "serverAuth")
    files = iter((cert, key, ca.cert))
    lines = [re.sub(r"/etc/\S+", lambda m: next(files), line) for line in block("docs/SECURITY.md", "tls_cert")]
    (tmp_path / "a.conf").write_text("\n".join(lines) + "\n")
    tinymodel.write(str(tmp_path / "models"), "a", 16)
    done = subprocess.run([BINARY, "config", "--check", "--models", str(tmp_path / "models"), "--config", str(tmp_path / "a.conf")],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_digest_of_a_key():
    command, = (s for _, _, s in FOUND if s.startswith("printf %s"))
    done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ, KEY="a"))
    assert done.stdout.split()[0] == hashlib.sha256(b"a").hexdigest()
