"""Start and stop: drain on SIGTERM, refusals to start with one sentence."""
import concurrent.futures
import os
import shutil
import signal
import subprocess
import time

import pytest

import pictures
from daemon import ANY_PORT, BINARY, Daemon, read_response, wait_for
from pictures import RED


NEVER = ["--drain-timeout-ms", "600000"]  # who waited for it would be seen
SOON = 300


def open_requests(d):
    return d.metric("mobilenetd_requests_open") - 1  # that one itself


def listens(d):
    try:
        d.socket().close()
    except ConnectionRefusedError:
        return False
    return True


def test_stops_at_once(tiny_models):
    d = Daemon(tiny_models, *NEVER)
    d.classify(RED)
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < SOON


class Starting(Daemon):
    """One that is not waited for."""

    def wait_ready(self, seconds=60):
        pass


def open_when_read(fifo, seconds=60):
    """Its other end, as soon as somebody reads there."""
    end = time.monotonic() + seconds
    while True:
        try:
            return os.fdopen(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "w")
        except OSError:  # ENXIO: nobody does
            assert time.monotonic() < end, "nobody reads the configuration"
            time.sleep(0.01)


def test_reload_while_it_starts(tiny_models, tmp_path):
    """SIGHUP in the middle of the start waits until it is over, and then it is obeyed."""
    fifo = tmp_path / "conf"
    os.mkfifo(fifo)
    d = Starting(tiny_models, "--config", str(fifo))
    with open_when_read(fifo) as f:
        d.signal(signal.SIGHUP)
        f.write("max_batch = 8\n")
    Daemon.wait_ready(d)
    with open_when_read(fifo) as f:
        f.write("max_batch = 8\n")
    assert d.classify(RED).status == 200
    d.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain_finishes_what_was_accepted(start, number):
    d = start("--workers", "1", *NEVER)
    slow = pictures.noise(1500, 1000)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(d.classify, slow, timeout=300) for _ in range(8)]
        wait_for(lambda: open_requests(d) + sum(a.done() for a in answers) >= 8)
        d.signal(number)
        assert [a.result().status for a in answers] == [200] * 8
    assert d.wait() == 0


def test_drain_waits_for_an_upload(start):
    d = start("--drain-grace-ms", "100", *NEVER)
    with d.socket() as s:
        s.sendall(b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(RED) + RED[:20])
        wait_for(lambda: open_requests(d) >= 1)
        d.signal()
        wait_for(lambda: not listens(d))
        s.sendall(RED[20:])
        assert read_response(s.makefile("rb"))[0] == 200
    assert d.wait() == 0


def test_drain_gives_up_on_an_endless_upload(start):
    d = start("--drain-timeout-ms", "500")
    with d.socket() as s:
        s.sendall(b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nxx")
        wait_for(lambda: open_requests(d) >= 1)
        d.signal()
        assert d.wait(SOON) == 0


def test_idle_connections_do_not_hold_the_drain(start):
    d = start(*NEVER)
    sockets = [d.socket() for _ in range(20)]
    d.signal()
    assert d.wait(SOON) == 0
    for s in sockets:
        s.close()


def test_grace_serves_while_not_ready(start):
    d = start("--drain-grace-ms", "600000")
    d.signal()
    wait_for(lambda: d.request("GET", "/v2/health/ready").status == 503)
    assert d.request("GET", "/v2/health/live").status == 200
    assert d.classify(RED).status == 200
    d.signal()
    assert d.wait(SOON) == 0


def test_grace_ends(start):
    d = start("--drain-grace-ms", "500")
    d.signal()
    assert d.wait(SOON) == 0


def test_second_signal_stops_at_once(start):
    d = start("--drain-grace-ms", "600000")
    d.signal()
    wait_for(lambda: d.request("GET", "/v2/health/ready").status == 503)
    d.signal()
    assert d.wait(SOON) == 0


def refuses(*args, env=None):
    p = subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=60,
                       env=dict(os.environ, **(env or {})))
    assert p.returncode > 0, p
    assert p.stderr.strip() and "Sanitizer" not in p.stderr
    return p.stderr


def serve(models, *flags):
    return refuses("serve", "--models", str(models), "--http", ANY_PORT, "--grpc", ANY_PORT, *flags)


def test_no_models(tmp_path):
    assert str(tmp_path / "nowhere") in serve(tmp_path / "nowhere")


def test_port_in_use(start, tiny_models):
    d = start()
    assert str(d.port) in refuses("serve", "--models", str(tiny_models), "--http", d.address, "--grpc", ANY_PORT)


@pytest.mark.parametrize("damage", ["truncated", "empty", "noise", "no_labels", "no_manifest"])
def test_broken_model(tiny_models, tmp_path, damage):
    models = tmp_path / "models"
    shutil.copytree(tiny_models / "inverse", models / "inverse")
    folder = models / "inverse" / "1"
    data = (folder / "model.tflite").read_bytes()
    if damage == "truncated":
        (folder / "model.tflite").write_bytes(data[:len(data) // 2])
    elif damage == "empty":
        (folder / "model.tflite").write_bytes(b"")
    elif damage == "noise":
        (folder / "model.tflite").write_bytes(data[:8] + os.urandom(len(data) - 8))
    elif damage == "no_labels":
        (folder / "labels.txt").unlink()
    else:
        (folder / "model.json").write_text("{ not json")
    assert "inverse" in serve(models)


@pytest.mark.parametrize("flags", [["--htp", "127.0.0.1:1"], ["--http", "nonsense"], ["--max-body", "ten"],
                                   ["--workers", "-1"], ["--default-model", "nobody"], ["--max-batch", "0"]])
def test_bad_flags(tiny_models, flags):
    said = serve(tiny_models, *flags)
    assert flags[0].lstrip("-").replace("-", "_") in said.replace("-", "_") or flags[1] in said
