"""Every curl line that README.md and docs/*.md print is run as printed: what is between the marks of a code block or
span goes to a shell, without its prompt. What the lines name (pictures, $URL, $MODEL, the default ports) is made here;
a line that needs something else fails until it is made, too."""
import json
import os
import re
import shutil
import subprocess

import pytest

import tinymodel
from daemon import ROOT, Daemon, keys_file
from doc_code import documents, pieces, statements
from pictures import BLUE, GREEN, RED, RED_JPEG

MODEL = "colour"
HTTP, GRPC = "127.0.0.1:8080", "127.0.0.1:8081"  # the defaults, which some lines print
MENTION = re.compile(r"(?<![\w-])curl\s+(?=[^\s`])")


def commands(text):
    """Commands with a curl in them, in code blocks (fenced or indented) and spans."""
    return [command for _, _, lines in pieces(text) for command in statements(lines) if MENTION.search(command)]


def examples():
    return [pytest.param(line, id=f"{name}-{i}") for name, text in documents()
            for i, line in enumerate(commands(text))]


def test_every_form_is_found():
    assert commands("curl is a tool; `curl` too, and `grpcurl x`\n") == []
    assert commands("say `curl -T a 1.2.3.4` or ``curl x``\n") == ["curl -T a 1.2.3.4", "curl x"]
    assert commands("```sh\n$ curl a\nprintf b | curl c\nls\n```\ncurl d\n") == ["curl a", "printf b | curl c"]
    assert commands("text\n    curl no, it goes on\n\n    curl -x \\\n      y\n    {\"z\":1}\n\n    curl w\n") == [
        "curl -x   y", "curl w"]
    assert commands("```sh\nprintf b |\n  curl c\nprintf 'b\n d' | curl e\n```\n") == ["printf b |\n  curl c", "printf 'b\n d' | curl e"]


def test_none_stands_outside_of_code():
    """Where it would neither be set in type nor be run."""
    for name, text in documents():
        assert len(MENTION.findall(text)) == sum(len(MENTION.findall(c)) for c in commands(text)), name


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A daemon that may be changed, on a repository of its own."""
    path = tmp_path_factory.mktemp("documented")
    tinymodel.write(str(path / "models"), MODEL, 16, embeds=True)
    d = Daemon(path / "models", "--admin", "--api-keys", keys_file(path, "root-5f1c infer,admin,metrics"))
    d.models, d.key = path / "models", "root-5f1c"
    yield d
    d.stop()


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory):
    path = tmp_path_factory.mktemp("documented")
    tinymodel.write(str(path), MODEL, 16, embeds=True)
    d = Daemon(path)
    yield d
    d.stop()


def pictures_in(folder):
    for name, content in {"photo.jpg": RED_JPEG, "a.jpg": RED_JPEG, "b.png": RED, "chelsea.png": RED, "red1.png": RED,
                          "red2.png": RED_JPEG, "blue1.png": BLUE, "blue2.png": BLUE, "green.png": GREEN}.items():
        (folder / name).write_bytes(content)


def run(d, command, folder):
    """In a folder that has the pictures; the default ports lead to the daemon."""
    (folder / ".curlrc").write_text(
        f'connect-to = "{HTTP}:{d.address}"\nconnect-to = "{GRPC}:127.0.0.1:{d.grpc_port}"\nnoproxy = "*"\n')
    env = dict(os.environ, CURL_HOME=str(folder), HOME=str(folder), URL=d.url, MODEL=MODEL, KEY="root-5f1c")
    return subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, timeout=60, env=env)


def written(folder):
    """What -o made."""
    return [p for p in folder.iterdir() if p.suffix in (".npy", ".bin") and p.stat().st_size > 0]


@pytest.mark.parametrize("command", examples())
def test_runs_as_printed(request, tmp_path, command):
    d = request.getfixturevalue("asked" if "$KEY" in command else "open_to_all")
    if "$KEY" in command:  # the line before may have unloaded it
        headers = {"X-API-Key": d.key}
        assert d.request("POST", f"/v2/repository/models/{MODEL}/load", b"", headers).status == 200
    pictures_in(tmp_path)
    done = run(d, command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout or written(tmp_path), "it answers nothing"
    assert b'"error"' not in done.stdout, done.stdout
    if re.search("classif|:predict", command):
        assert b"red" in done.stdout or b"predictions" in done.stdout


def test_the_answer_of_the_readme(shared, real_models, start, tmp_path):
    """As printed, but for the times: of the cat, by the model that quickstart pulls."""
    lines = dict(documents())["README.md"].splitlines()
    at = next(i for i, line in enumerate(lines) if "chelsea.png" in line)
    photo = os.path.join(ROOT, ".cache", "quickstart", "chelsea.png")
    if not os.path.exists(photo):
        pytest.skip("deploy/quickstart has not fetched the photo")
    models = tmp_path / "models"
    shutil.copytree(real_models / "mobilenet_v1_1.0_224", models / "mobilenet_v1_1.0_224")
    command, = commands("\n    " + lines[at].strip())
    printed = "".join(lines[at + 1:lines.index("", at)])
    d = start(models=models)
    shutil.copy(photo, tmp_path / "chelsea.png")
    got, want = json.loads(run(d, command, tmp_path).stdout), json.loads(printed)
    for answer in (got, want):
        del answer["timing_ms"]
    assert got == want


def test_the_answer_of_teach(asked, tmp_path):
    """As printed behind the command, but for the version, which counts the lessons."""
    text = dict(documents())["docs/API.md"]
    command, = (c for c in commands(text) if "/teach?" in c)
    want, = (json.loads(line) for _, _, lines in pieces(text) for line in lines if line.startswith('{"model":"colours"'))
    pictures_in(tmp_path)
    assert asked.request("POST", f"/v2/repository/models/{MODEL}/load", b"", {"X-API-Key": asked.key}).status == 200
    done = run(asked, command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {**json.loads(done.stdout), "version": "1"} == want
