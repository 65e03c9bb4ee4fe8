"""The serving core: deadlines, clients that leave, reloads under load, framing that must be refused."""
import concurrent.futures
import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

import pictures
import tinymodel
from daemon import BINARY, Load, read_response, SANITIZED, wait_for
from pictures import BLUE, RED

SLOW = pictures.plain((200, 30, 90), (4000, 4000))  # few bytes, much to decode


def put_head(length, *lines):
    head = ["PUT /v1/classify HTTP/1.1", "Host: x", f"Content-Length: {length}", *lines, "", ""]
    return "\r\n".join(head).encode()


# ---- deadlines ----

@pytest.mark.parametrize("value", ["0", "-5", "abc", "1.5", "", "99999999999999999999", "86400001"])
def test_bad_timeout(tiny, value):
    r = tiny.classify(RED, headers={"X-Request-Timeout-Ms": value})
    assert r.status == 400 and "X-Request-Timeout-Ms" in r.json["error"]


def test_generous_timeout(tiny):
    assert tiny.classify(RED, headers={"X-Request-Timeout-Ms": "60000"}).status == 200


MANY = 16


@contextlib.contextmanager
def occupied(d):
    """While it lasts, the one worker has pictures to decode: they come in one request, at once."""
    body, kind = pictures.multipart([(str(i), "a.jpg", SLOW) for i in range(MANY)])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(d.classify, body, headers={"Content-Type": kind}, timeout=600)
        wait_for(lambda: d.metric("mobilenetd_images_waiting") >= MANY // 2 or answer.done())
        yield answer
        assert answer.result().status == 200


def computed(d):
    return d.metric("mobilenetd_images_total", outcome="ok")


def test_late_ones_are_not_computed(start):
    d = start("--workers", "1", "--max-batch", "1", "--default-timeout-ms", "600000")
    with occupied(d) as others:
        hasty = d.classify(BLUE, headers={"X-Request-Timeout-Ms": "1"})
        assert hasty.status in (429, 504) and hasty.json["error"]
        assert not others.done()  # nor did it wait for them
    assert d.classify(RED).status == 200
    assert computed(d) == MANY + 1


def test_default_timeout(start):
    d = start("--workers", "1", "--max-batch", "1", "--default-timeout-ms", "40")
    picture = pictures.noise(500, 500)
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        status = [a.status for a in pool.map(lambda _: d.classify(picture, timeout=120), range(80))]
    assert set(status) <= {200, 429, 504} and set(status) & {429, 504}
    wait_for(lambda: d.classify(RED).status == 200)


def test_upload_past_its_deadline_is_cut_off(start):
    d = start()
    with d.socket() as s:
        s.sendall(put_head(1000, "X-Request-Timeout-Ms: 200") + RED[:50])
        with pytest.raises(ConnectionError):
            for _ in range(600):  # drips on: is read for half a minute, so that an answer could reach it, and no longer
                time.sleep(0.2)
                s.sendall(b"x")
    with d.socket() as s:
        s.sendall(put_head(100000, "X-Request-Timeout-Ms: 200"))
        while not select.select([s], [], [], 0.05)[0]:  # drips until it is told
            s.sendall(b"x")
        assert read_response(s.makefile("rb"))[0] == 504
    assert d.classify(RED).status == 200


# ---- company ----

def timed(d, **headers):
    begun = time.monotonic()
    answer = d.classify(RED, headers=headers)
    assert answer.status == 200
    return time.monotonic() - begun, answer.json["batch"]


def test_waits_for_company_if_told_to(start):
    d = start("--workers", "1", "--max-delay-us", "1000000")

    def limit():
        return d.metric("mobilenetd_model_batch_limit", model="colour_32")
    limits = [limit()]
    alone = timed(d)
    urgent = [d.classify(RED, headers={"X-Request-Timeout-Ms": "200"}).status for _ in range(5)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda _: timed(d)[1], range(3)))
    limits.append(limit())
    if min(limits) < 4:
        pytest.skip(f"batches do not pay here: limits {limits}")
    assert alone[0] >= 1 and alone[1] == 1
    assert 200 in urgent  # not beyond its deadline, unless the machine has no time to spare
    assert together == [3, 3, 3]


# ---- clients that leave ----

def test_the_gone_are_not_computed(start):
    d = start("--workers", "1", "--max-batch", "1", "--default-timeout-ms", "600000")
    with occupied(d) as others:
        sockets = [d.socket() for _ in range(50)]
        for s in sockets:
            s.sendall(put_head(len(RED)) + RED)
        wait_for(lambda: d.metric("mobilenetd_requests_open") >= 50 or others.done())
        for s in sockets:
            s.close()
    wait_for(lambda: d.metric("mobilenetd_requests_open") <= 1)
    gone = d.metric("mobilenetd_images_total", outcome="gone")
    assert gone + computed(d) == MANY + 50
    assert gone >= 25  # those that were still waiting when they left
    assert d.classify(RED).status == 200


# ---- reload ----

def reloads(d):
    return d.metric("mobilenetd_reloads_total")


def reload(d):
    before = reloads(d)
    d.signal(signal.SIGHUP)
    wait_for(lambda: reloads(d) > before)


@pytest.fixture
def repository(tiny_models, tmp_path):
    path = tmp_path / "models"
    shutil.copytree(tiny_models, path)
    return path


def names(d):
    return {m["name"] for m in d.request("GET", "/v1/models").json["models"] if m["state"] == "ready"}


def test_reload_under_load_fails_nothing(start, repository):
    d = start(models=repository)
    load = Load(d, "/v1/classify", RED)
    for i in range(8):
        for version in repository.glob("colour_32/*"):
            os.utime(version / "model.json", (i + 1, i + 1))  # looks new: is loaded again
        reload(d)
    load.end()


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what was freed for a while")
def test_memory_is_flat_over_reloads(start, repository):
    """Every model is read again each time: the old ones' memory goes back or is used again."""
    def resident():
        with open(f"/proc/{d.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))

    def cycles(begin, end):
        for i in range(begin, end):
            for manifest in repository.glob("*/*/model.json"):
                os.utime(manifest, (i + 1, i + 1))
            reload(d)
            assert d.classify(RED).status == 200

    d = start(models=repository)
    cycles(0, 20)
    before = resident()
    cycles(20, 120)
    assert resident() <= 1.05 * before


def test_reload_finds_and_forgets_models(start, repository):
    d = start(models=repository)
    assert "inverse" in names(d)
    shutil.copytree(repository / "inverse", repository / "another")
    shutil.rmtree(repository / "inverse")
    reload(d)
    assert "another" in names(d) and "inverse" not in names(d)
    assert d.request("PUT", "/v1/models/another/classify", RED).status == 200
    assert d.request("PUT", "/v1/models/inverse/classify", RED).status == 404


def test_reload_that_fails_changes_nothing(start, repository, tmp_path):
    conf = tmp_path / "mobilenetd.conf"
    conf.write_text("max_images = 2\n")
    d = start("--config", str(conf), models=repository)
    conf.write_text("max_images = many\n")
    d.signal(signal.SIGHUP)
    wait_for(lambda: d.metric("mobilenetd_reload_failures_total") == 1)
    body, kind = pictures.multipart([("image", "a.png", RED)] * 3)
    assert d.request("POST", "/v1/classify", body, {"Content-Type": kind}).status == 413
    assert names(d) >= {"colour_16", "colour_32"}
    conf.write_text("max_images = 3\n")
    reload(d)
    assert d.request("POST", "/v1/classify", body, {"Content-Type": kind}).status == 200


# ---- framing ----

@pytest.mark.parametrize("head, status", [
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nX-A:\r\n b\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-A: b\r\n\tc\r\n\r\nabc", 400),
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc", 400),
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nX A: b\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", 400),
    (b"PUT /v1/classify HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-A: \x01\r\n\r\n", 400)])
def test_ambiguous_framing(tiny, head, status):
    with tiny.socket(5) as s:
        s.sendall(head)
        stream = s.makefile("rb")
        got, headers, body = read_response(stream)
        assert got == status and b"error" in body, body
        assert headers["connection"].lower() == "close"
        try:
            assert stream.read() == b""
        except ConnectionResetError:
            pass


@pytest.mark.parametrize("head, status", [
    (b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    (b"POST /v2/repository/index HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
    (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\n\r\n", 422)])
def test_neither_length_nor_coding_is_no_body(tiny, head, status):
    """RFC 9112 6.3; curl -X POST and many clients of POST calls without arguments send none."""
    with tiny.socket(5) as s:
        stream = s.makefile("rb")
        for _ in range(2):  # the connection goes on, at the right byte
            s.sendall(head)
            assert read_response(stream)[0] == status


@pytest.mark.parametrize("line, status", [
    ("GET http://any.example/v1/models HTTP/1.1", 200),
    ("GET HTTPS://any.example:443/v1/models? HTTP/1.1", 200),
    ("GET http://any.example/v1/models HTTP/1.0", 200),
    ("GET http://any.example HTTP/1.1", 200),
    ("GET http://any.example? HTTP/1.1", 200),
    ("GET http://any.example/nothing HTTP/1.1", 404),
    ("GET http:///v1/models HTTP/1.1", 400),
    ("GET http://user@any.example/v1/models HTTP/1.1", 400),
    ("GET ftp://any.example/v1/models HTTP/1.1", 400),
    ("GET v1/models HTTP/1.1", 400),
    ("CONNECT any.example:80 HTTP/1.1", 400)])
def test_absolute_target(tiny, line, status):
    """RFC 9112 3.2.2: it MUST be accepted; of its host and that of Host, neither matters."""
    with tiny.socket(5) as s:
        s.sendall(f"{line}\r\nHost: other.example\r\n\r\n".encode())
        got, headers, body = read_response(s.makefile("rb"))
        assert got == status, body
        assert headers["content-type"].startswith("application/json") or body.startswith(b"mobilenetd\n")


def test_absolute_target_needs_one_host_as_well(tiny):
    for hosts in (b"", b"Host: any.example\r\nHost: any.example\r\n"):
        with tiny.socket(5) as s:
            s.sendall(b"GET http://any.example/v1/models HTTP/1.1\r\n" + hosts + b"\r\n")
            assert read_response(s.makefile("rb"))[0] == 400


def test_as_a_client_asks_that_thinks_it_a_proxy(tiny):
    """curl then sends the absolute form."""
    done = subprocess.run(["curl", "-fsS", "--noproxy", "", "-x", tiny.url, "-T", "-", "http://any.example/v1/classify?top_k=1"],
                          input=RED, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"][0]["label"] == "red"


def test_odd_but_clear_headers_pass(tiny):
    with tiny.socket(5) as s:
        s.sendall(b"GET /v1/models HTTP/1.1\r\nHost:x\r\nX-Empty:\r\nX-Blanks:   \t a b  \r\n"
                  b"X-Utf8: \xc3\xa9\r\nX-Last: 1\r\n\r\n")
        assert read_response(s.makefile("rb"))[0] == 200


def test_request_id_is_echoed_if_it_is_harmless(tiny):
    assert tiny.classify(RED, headers={"X-Request-Id": "abc-123"}).headers["X-Request-Id"] == "abc-123"
    for bad in ("a b", "x" * 129, "caf\u00e9"):
        r = tiny.classify(RED, headers={"X-Request-Id": bad})
        assert r.status == 200 and r.headers["X-Request-Id"] != bad


def test_a_port_without_a_host_is_every_ipv4_address(start):
    d = start(http=":0", grpc=":0")
    assert re.findall(r"ready: http (\S+), grpc ([^\s,]+)", d.log()) == [(f"0.0.0.0:{d.port}", f"0.0.0.0:{d.grpc_port}")]
    for host in ("127.0.0.1", "127.0.0.2"):
        with socket.create_connection((host, d.port), 20) as s:
            s.sendall(put_head(len(RED)) + RED)
            assert read_response(s.makefile("rb"))[0] == 200
    p = subprocess.run([BINARY, "health", "--http", f":{d.port}"], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr


def test_unix_socket(tiny_models, start, tmp_path):
    path = str(tmp_path / "s")
    d = start()
    d2 = subprocess.Popen([BINARY, "serve", "--models", str(tiny_models), "--http", f"unix:{path}", "--grpc", ""],
                          stderr=subprocess.DEVNULL)

    def is_ready():
        return subprocess.run([BINARY, "health", "--http", f"unix:{path}"], capture_output=True).returncode == 0
    try:
        wait_for(is_ready)  # the file is there before it listens
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(put_head(len(RED)) + RED)
            assert read_response(s.makefile("rb"))[0] == 200
        p = subprocess.run([BINARY, "health", "--http", f"unix:{path}"], capture_output=True, text=True)
        assert p.returncode == 0, p.stderr
    finally:
        d2.terminate()
        assert d2.wait(20) == 0
    assert d.classify(RED).status == 200
