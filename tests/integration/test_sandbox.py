"""The sandbox from outside: what /proc says of every thread, and that serving and reloading still work."""
import os
import shutil
import signal
import subprocess

import pytest

import pictures
import tinymodel
from daemon import BINARY, Daemon, logged, SANITIZED, wait_for
from pictures import RED

# A sanitizer's own calls (its report, its leak check) are not on the list.
pytestmark = pytest.mark.skipif(SANITIZED, reason="sanitizers make calls that the filter forbids")


def threads(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            yield dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def limit(pid, name):
    with open(f"/proc/{pid}/limits") as f:
        line = next(line for line in f if line.startswith(name))
    return line[len(name):].split()[:2]


@pytest.fixture
def models(tmp_path):
    path = tmp_path / "models"
    tinymodel.repository(str(path))
    return path


@pytest.mark.parametrize("level", ["on", "strict"])
def test_every_thread_is_bound(start, level):
    d = start("--sandbox", level, "--workers", "2")
    assert d.classify(RED).status == 200
    states = list(threads(d.process.pid))
    assert len(states) >= 4  # loop, log, two workers
    for s in states:
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2", s
    assert limit(d.process.pid, "Max core file size") == ["0", "0"]
    soft, hard = limit(d.process.pid, "Max open files")
    assert soft == hard
    assert f"sandbox {level}: " in d.log()


def test_off_changes_nothing(start):
    d = start("--sandbox", "off")
    assert {s["Seccomp"] for s in threads(d.process.pid)} == {"0"}


def test_serves_everything_under_strict(start):
    """A forbidden call would end the process, and with it this test."""
    d = start("--sandbox=strict", "--log-format", "json", "--workers", "2")
    for path in ("/", "/metrics", "/v1/models", "/v2", "/v2/health/ready", "/nothing"):
        assert d.request("GET", path).status in (200, 404)
    for picture in (RED, pictures.noise(1500, 1000), b"", b"no picture", RED[:len(RED) // 2]):
        assert d.classify(picture).status in (200, 415, 422, 400)
    with d.socket() as s:  # a client that leaves in the middle
        s.sendall(b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nxx")
    assert d.metric("process_resident_memory_bytes") > 0 or d.request("GET", "/metrics").status == 200
    assert d.classify(RED).status == 200


def test_reload_takes_a_new_model(models):
    d = Daemon(models, "--sandbox=strict", "--log-format", "json")
    try:
        before = {m["name"] for m in d.request("GET", "/v1/models").json["models"]}
        source = sorted(p for p in os.listdir(models) if os.path.isdir(models / p))[0]
        shutil.copytree(models / source, models / "fresh")
        d.signal(signal.SIGHUP)
        wait_for(lambda: '"reloaded: ' in d.log() or "reload failed" in d.log())
        assert "reload failed" not in d.log()
        after = {m["name"] for m in d.request("GET", "/v1/models").json["models"]}
        assert before < after
        assert d.classify(RED).status == 200
        assert {s["Seccomp"] for s in threads(d.process.pid)} == {"2"}
    finally:
        d.stop()


def test_reload_reads_a_replaced_configuration(models, tmp_path):
    """An editor puts another file in the place of the old one."""
    conf = tmp_path / "conf.d" / "mobilenetd.conf"
    conf.parent.mkdir()
    conf.write_text("log_requests = true\n")
    d = Daemon(models, "--sandbox=strict", "--config", str(conf))
    try:
        d.classify(RED)
        assert logged(d, "request id=")
        (tmp_path / "conf.d" / "new").write_text("log_requests = false\n")
        os.replace(tmp_path / "conf.d" / "new", conf)
        d.signal(signal.SIGHUP)
        wait_for(lambda: "info reloaded: " in d.log() or "reload failed" in d.log())
        assert "reload failed" not in d.log()
        lines = d.log().count("request id=")
        assert d.classify(RED).status == 200
        assert d.log().count("request id=") == lines
    finally:
        d.stop()


def test_files_elsewhere_are_out_of_reach(models, tmp_path):
    """A model folder that leads out of the repository is not followed any more."""
    outside = tmp_path / "outside"
    tinymodel.repository(str(outside))
    d = Daemon(models, "--sandbox=on")
    try:
        if "Landlock version 0" in d.log():
            pytest.skip("no Landlock here")
        source = sorted(p for p in os.listdir(outside) if os.path.isdir(outside / p))[0]
        os.symlink(outside / source, models / "leads-out")
        d.signal(signal.SIGHUP)
        wait_for(lambda: "reloaded: " in d.log() or "reload failed" in d.log())
        assert "leads-out" not in {m["name"] for m in d.request("GET", "/v1/models").json["models"]}
        assert d.classify(RED).status == 200
    finally:
        d.stop()


def test_unix_socket_under_strict(models, tmp_path):
    address = f"unix:{tmp_path}/sock"
    p = subprocess.Popen([BINARY, "serve", "--models", str(models), "--http", address, "--grpc", "",
                          "--sandbox=strict"], stderr=subprocess.DEVNULL)
    try:
        health = [BINARY, "health", "--http", address]
        wait_for(lambda: subprocess.run(health, capture_output=True).returncode == 0)
    finally:
        p.send_signal(signal.SIGTERM)
        assert p.wait(30) == 0
