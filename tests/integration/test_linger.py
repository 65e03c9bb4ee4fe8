"""Answers that come while their clients still send must reach them: a connection closed with bytes unread is reset."""
import contextlib
import json
import shutil
import subprocess
import tempfile
import time

import pytest

import proxies
from daemon import read_response

LARGE = 22 << 20  # more than max_body's default, and than what is read to keep the connection
TIMES = 6
CHUNKED = b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


@pytest.fixture(scope="module")
def large():
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"\xff\xd8" + b"x" * LARGE)
        f.flush()
        yield f.name


def curl(url, large, *args):
    """(exit status, HTTP status, body)"""
    p = subprocess.run(["curl", "-sS", "--max-time", "60", "-o", "-", "-w", "\n%{http_code}", "-T", large, *args, url],
                       capture_output=True, text=True, timeout=90)
    body, _, status = p.stdout.rpartition("\n")
    return p.returncode, int(status or 0), body


def too_large(answer):
    status, code, body = answer
    assert (status, code) == (0, 413), answer
    assert "larger than" in json.loads(body)["error"]
    return True


@pytest.mark.parametrize("how", [("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:"), ()], ids=["chunked", "declared", "expects"])
def test_curl_hears_that_its_body_is_too_large(tiny, large, how):
    for _ in range(TIMES):
        assert too_large(curl(tiny.url + "/v1/classify", large, *how))


@pytest.mark.parametrize("how", [("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")], ids=["chunked", "declared"])
def test_the_same_by_tls(secure, large, how):
    d = secure()
    for _ in range(TIMES):
        assert too_large(curl(d.url + "/v1/classify", large, "--cacert", d.ca.cert, *how))


@pytest.mark.parametrize("framing", ["declared", "chunked"])
def test_who_reads_after_sending_everything_gets_the_answer(tiny, framing):
    """As Python's own client does, and many of its kind."""
    for _ in range(TIMES):
        c = tiny.connect()
        body = iter([b"x" * (1 << 20)] * (LARGE >> 20)) if framing == "chunked" else b"x" * LARGE
        c.request("PUT", "/v1/classify", body, encode_chunked=framing == "chunked",
                  headers={"Transfer-Encoding": "chunked"} if framing == "chunked" else {})
        r = c.getresponse()
        assert r.status == 413 and b"larger than" in r.read() and r.headers["Connection"] == "close"
        c.close()


FETCH = """const body = new Uint8Array(%d).fill(120);
(async () => {
  for (let i = 0; i < %d; i++) {
    const r = await fetch(process.argv[1], {method: 'PUT', body});
    console.log(r.status, (await r.json()).error);
  }
})().catch((e) => { console.log(String(e), String(e.cause)); process.exit(1); });
"""


def test_fetch_of_node_gets_the_answer(tiny):
    if not shutil.which("node"):
        pytest.skip("no node")
    p = subprocess.run(["node", "-e", FETCH % (LARGE, 8), tiny.url + "/v1/classify"], capture_output=True, text=True, timeout=120)
    assert p.returncode == 0, p.stdout
    assert [line.split()[0] for line in p.stdout.splitlines()] == ["413"] * 8


@pytest.mark.parametrize("buffering", ["off", "on"])
def test_behind_nginx(tiny, large, tmp_path, buffering):
    proxy = proxies.nginx(tmp_path, tiny.port, buffering)
    try:
        for _ in range(TIMES):
            for how in (("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")):
                assert too_large(curl("http://x/v1/classify", large, "--unix-socket", proxy.path, *how)), proxy.said()
    finally:
        proxy.stop()


def test_behind_haproxy(tiny, large, tmp_path):
    proxy = proxies.haproxy(tmp_path, tiny.port)
    try:
        for _ in range(TIMES):
            for how in (("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")):
                assert too_large(curl("http://x/v1/classify", large, "--unix-socket", proxy.path, *how)), proxy.said()
    finally:
        proxy.stop()


def test_pipelined_behind_the_last_answer(tiny):
    """The first is refused and the connection closed; what was sent behind it must not take the answer away."""
    bad = b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 10\r\n\r\n"
    for _ in range(TIMES):
        with tiny.socket() as s:
            s.sendall(bad + b"x" * 10 + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
            assert read_response(s.makefile("rb"))[0] == 400


def settled(d, seconds=40):
    end = time.monotonic() + seconds
    while d.metric("mobilenetd_connections") > 1:
        assert time.monotonic() < end
        time.sleep(0.1)


def begin(d, wrap=lambda s: s):
    """A connection whose chunked body has been refused while it was being sent."""
    s = wrap(d.socket(60))
    s.sendall(CHUNKED)
    with contextlib.suppress(OSError):
        for _ in range(40):
            s.sendall(CHUNK)
    assert read_response(s.makefile("rb"))[0] == 413
    return s


def test_it_ends_for_who_goes_on_sending(start):
    d = start("--max-body", "1M")
    with begin(d) as s:
        sent = 0
        with pytest.raises(OSError):
            while sent < 400 << 20:
                s.sendall(CHUNK)
                sent += len(CHUNK)
        assert 40 << 20 < sent < 300 << 20
        settled(d)


def test_it_ends_for_who_falls_silent(start):
    d = start("--max-body", "1M")
    with begin(d):
        assert d.metric("mobilenetd_connections") == 2
        settled(d)


def test_it_makes_room_at_the_limit(start):
    d = start("--max-body", "1M", "--max-connections", "8")
    sockets = [begin(d) for _ in range(20)]
    assert d.request("GET", "/v2/health/live").status == 200
    for s in sockets:
        s.close()


def test_it_ends_by_tls(secure):
    d = secure("--max-body", "1M")
    with begin(d, lambda s: d.context().wrap_socket(s, server_hostname="127.0.0.1")) as s:
        assert s.recv(1) == b""  # the end of TLS, and no error
        settled(d)


def test_it_does_not_hold_a_drain(start):
    d = start("--max-body", "1M")
    with begin(d):
        begun = time.monotonic()
        d.signal()
        assert d.wait() == 0 and time.monotonic() - begun < 4
