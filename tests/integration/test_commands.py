"""The other sub-commands of the binary."""
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

import pictures
from daemon import BINARY, refusing_address, ROOT, SANDBOX
from secure import Authority

COMMANDS = ["serve", "classify", "bench", "quantize", "teach", "compress", "health", "describe", "config", "version"]


def run(*args, timeout=120):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=timeout)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    p = run(command, "--help")
    assert p.returncode == 0 and "usage" in p.stdout.lower() and p.stderr == ""
    assert all(len(line) <= 100 for line in p.stdout.splitlines())


def test_help_of_all():
    p = run("--help")
    assert p.returncode == 0 and all(command in p.stdout for command in COMMANDS)


def test_version():
    for args in (["version"], ["--version"]):
        p = run(*args)
        assert p.returncode == 0 and "mobilenetd" in p.stdout


@pytest.mark.parametrize("args", [[], ["srve"], ["serve", "--nonsense"], ["classify"]])
def test_wrong_use(args):
    p = run(*args)
    assert p.returncode != 0 and p.stderr.strip()


def test_health(start):
    d = start()
    assert run("health", "--http", d.address).returncode == 0
    with refusing_address() as nobody:
        assert run("health", "--http", nobody).returncode != 0


def dockerfile(stage="runtime"):
    """What that stage says, by instruction; ENV as a dictionary."""
    with open(os.path.join(ROOT, "deploy", "Dockerfile")) as f:
        stages = re.split(r"\nFROM ", re.sub(r"\\\n", " ", f.read()))
    lines, = [s.splitlines() for s in stages if s.splitlines()[0].endswith(f" AS {stage}")]
    said = dict(line.split(" ", 1) for line in lines if re.match("[A-Z]+ ", line))
    return {**said, "ENV": dict(pair.split("=", 1) for line in lines if line.startswith("ENV ") for pair in line.split()[1:])}


IMAGES = pytest.mark.parametrize("stage", ["runtime", "static"])


@IMAGES
def test_the_image_listens_where_it_says(stage):
    said = dockerfile(stage)
    ports = [said["ENV"][k] for k in ("MOBILENETD_HTTP", "MOBILENETD_GRPC")]
    assert ports == ["0.0.0.0:" + port for port in said["EXPOSE"].split()]


@IMAGES
def test_the_image_runs_as_a_number(stage):
    """Kubernetes' runAsNonRoot looks at no name."""
    user, group = dockerfile(stage)["USER"].split(":")
    assert user.isdigit() and group.isdigit() and int(user) > 0 and int(group) > 0


def test_the_image_is_of_this_version():
    with open(os.path.join(ROOT, "deploy", "Dockerfile")) as f:
        version = re.search(r"^ARG VERSION=(.+)$", f.read(), re.M)[1]
    assert f"mobilenetd {version}" in run("version").stdout


@IMAGES
def test_the_image_takes_its_address_from_the_environment(stage, tiny_models, tmp_path):
    """Server and probe alike: docker run -e MOBILENETD_HTTP=… against what the image itself sets."""
    said, address = dockerfile(stage), f"unix:{tmp_path}/socket"
    (tmp_path / "mobilenetd").symlink_to(BINARY)
    env = {**os.environ, **said["ENV"], "MOBILENETD_HTTP": address, "MOBILENETD_GRPC": "",
           "MOBILENETD_MODELS": str(tiny_models), "MOBILENETD_SANDBOX": SANDBOX, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def command(words):
        program, *args = words
        places = {"mobilenetd": BINARY, "/usr/bin/mobilenetd": BINARY,
                  "/usr/lib/mobilenetd/entrypoint": os.path.join(ROOT, "deploy", "entrypoint")}
        return [places[program], *args]

    serve = command(json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"]))
    probe = command(json.loads(said["HEALTHCHECK"].partition("CMD ")[2]))
    assert subprocess.run(probe, env=env, capture_output=True, timeout=60).returncode != 0
    with subprocess.Popen(serve, env=env, stderr=subprocess.PIPE, text=True) as d:
        ready = next((line for line in d.stderr if "ready: " in line), "none")
        try:
            assert f"ready: http {address}, grpc off" in ready
            assert subprocess.run(probe, env=env, capture_output=True, timeout=60).returncode == 0
        finally:
            d.terminate()


def test_classify(tiny_models, tmp_path):
    red, blue = tmp_path / "red.png", tmp_path / "blue.jpg"
    red.write_bytes(pictures.RED)
    blue.write_bytes(pictures.plain((0, 0, 255), kind="JPEG"))
    p = run("classify", "--models", tiny_models, red, blue)
    assert p.returncode == 0 and "red" in p.stdout and "blue" in p.stdout
    p = run("classify", "--models", tiny_models, "--model", "inverse", "--json", red)
    assert p.returncode == 0
    assert json.loads(p.stdout)["predictions"][0]["label"] == "blue"


def test_classify_says_which_file_is_broken(tiny_models, tmp_path):
    (tmp_path / "bad.png").write_bytes(pictures.RED[:50])
    (tmp_path / "good.png").write_bytes(pictures.RED)
    p = run("classify", "--models", tiny_models, tmp_path / "bad.png", tmp_path / "good.png")
    assert p.returncode != 0 and "bad.png" in p.stdout + p.stderr and "red" in p.stdout
    p = run("classify", "--models", tiny_models, tmp_path / "none.png")
    assert p.returncode != 0 and "none.png" in p.stdout + p.stderr


BENCH_KEYS = {"min_ms", "median_ms", "p99_ms", "gops", "peak_share", "isa", "threads", "batch", "precision"}


def test_bench_of_a_model(tiny_models):
    p = run("bench", "--models", tiny_models, "--model", "colour_32", "--seconds", "0.2", "--threads", "1",
            "--batch", "2", "--json")
    assert p.returncode == 0, p.stderr
    r = json.loads(p.stdout)
    assert BENCH_KEYS <= set(r) and (r["threads"], r["batch"]) == (1, 2)
    assert 0 < r["min_ms"] <= r["median_ms"] <= r["p99_ms"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_bench_of_a_built_network(precision):
    p = run("bench", "--alpha", "0.25", "--rho", "128", "--precision", precision, "--seconds", "0.3",
            "--threads", "1", "--json")
    assert p.returncode == 0, p.stderr
    r = json.loads(p.stdout)
    assert r["precision"] == precision and 0 < r["median_ms"] < 1000 and r["gops"] > 0


def test_config_check(tiny_models, tmp_path):
    good, bad = tmp_path / "good.conf", tmp_path / "bad.conf"
    good.write_text(f"models = {tiny_models}\nmax_batch = 8\nlog_format = json\n")
    bad.write_text("max_batch = 8\nlog_formt = json\n")
    assert run("config", "--check", "--config", good).returncode == 0
    p = run("config", "--check", "--config", bad)
    assert p.returncode != 0
    assert f"{bad}:2" in p.stderr and "log_format" in p.stderr  # file, line and a guess


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    ca = Authority(tmp_path_factory.mktemp("ca"), "ca")
    return ca.sign("server", "serverAuth"), ca.sign("another", "serverAuth")


@pytest.mark.parametrize("wrong,says", [
    (["tls_cert"], "tls_key"),
    (["tls_key"], "tls_cert"),
    (["tls_cert", "other_key"], "tls"),
    (["tls_client_ca"], "tls"),
    (["missing_cert", "tls_key"], "tls_cert"),
    (["missing_keys"], "api_keys"),
    (["obvious_keys"], "everybody tries first"),
    (["broken_keys"], "line 1"),
    (["missing_models"], "models"),
    (["empty_models"], "models"),
    (["unknown_default"], "neither a model nor a family"),
])
def test_config_check_finds_what_serve_refuses(tiny_models, certificates, tmp_path, wrong, says):
    """With the same sentence."""
    (cert, key), (_, other) = certificates
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").write_text("alice\n")
    (tmp_path / "obvious").write_text(f"alice infer {hashlib.sha256(b'changeme').hexdigest()}\n")
    lines = {"tls_cert": f"tls_cert = {cert}", "tls_key": f"tls_key = {key}", "other_key": f"tls_key = {other}",
             "tls_client_ca": f"tls_client_ca = {cert}", "missing_cert": "tls_cert = /nowhere/cert",
             "missing_keys": "api_keys = /nowhere/keys", "obvious_keys": f"api_keys = {tmp_path}/obvious",
             "broken_keys": f"api_keys = {tmp_path}/broken", "missing_models": "models = /nowhere/models",
             "empty_models": f"models = {tmp_path}/empty", "unknown_default": "default_model = nobody"}
    conf = tmp_path / "a.conf"
    conf.write_text("\n".join([f"models = {tiny_models}", "http = 127.0.0.1:0", "grpc =", *(lines[w] for w in wrong), ""])
                    if "models" not in wrong[0] else "http = 127.0.0.1:0\ngrpc =\n" + lines[wrong[0]] + "\n")
    served, checked = run("serve", "--config", conf), run("config", "--check", "--config", conf)
    sentence = served.stderr.splitlines()[-1].removeprefix("mobilenetd serve: ")
    assert served.returncode == 1 and says in sentence, served
    assert checked.returncode == 1 and checked.stderr.splitlines()[-1] == f"mobilenetd config: {sentence}", checked


def test_config_check_warns_of_a_model_left_out(tiny_models, tmp_path):
    """As the daemon does, which serves the others."""
    shutil.copytree(tiny_models, tmp_path / "models")
    (tmp_path / "models" / "inverse" / "1" / "model.tflite").write_bytes(b"no model")
    p = run("config", "--check", "--models", tmp_path / "models")
    assert p.returncode == 0 and "warning: model inverse/1: " in p.stderr, p


def test_config_show_says_where_from(tmp_path):
    conf = tmp_path / "a.conf"
    conf.write_text("max_batch = 8\n")
    p = run("config", "--show", "--config", conf)
    assert p.returncode == 0
    line = next(x for x in p.stdout.splitlines() if x.startswith("max_batch"))
    assert "8" in line and f"{conf}:1" in line
