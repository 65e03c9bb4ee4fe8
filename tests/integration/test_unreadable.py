"""Requests that the HTTP library refuses by itself, what it would take although it should not, and what proxies make of both."""
import json
import re

import pytest

import proxies
from daemon import logged

HEAD = re.compile(rb"HTTP/1\.\d \d{3} ")
LENGTHS = [b"abc", b"-1", b"+5", b"5 5", b"0x10", b"5,5", b"", b"99999999999999999999999", b"1e3", b"5\t;"]


def exchange(s, message):
    """Everything that comes back until the connection is closed."""
    s.sendall(message)
    return rest(s)


def rest(s):
    back = b""
    while True:
        data = s.recv(65536)
        if not data:
            return back
        back += data


def one_head(back, status=400):
    """The only answer, in JSON, and the last one."""
    assert back.startswith(b"HTTP/1.1 %d " % status), back
    assert len(HEAD.findall(back)) == 1, back
    head, _, body = back.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert set(json.loads(body)) == {"error"}
    return True


def with_length(value):
    return b"PUT /v1/classify?length HTTP/1.1\r\nHost: x\r\nContent-Length: " + value + b"\r\n\r\nhello"


@pytest.mark.parametrize("value", LENGTHS)
def test_a_bad_length_has_one_answer(tiny, value):
    before = tiny.metric("mobilenetd_requests_total", code="413" if len(value) > 20 else "400")
    with tiny.socket() as s:
        assert one_head(exchange(s, with_length(value)), 413 if len(value) > 20 else 400)
    assert tiny.metric("mobilenetd_requests_total", code="413" if len(value) > 20 else "400") == before + 1


@pytest.mark.parametrize("value", LENGTHS[:2])
def test_a_bad_length_has_one_answer_by_tls(secure, value):
    d = secure()
    with d.context().wrap_socket(d.socket(), server_hostname="127.0.0.1") as s:
        assert one_head(exchange(s, with_length(value)))
    assert d.request("GET", "/v2/health/live").status == 200


def test_a_request_without_host_has_one_answer(tiny):
    with tiny.socket() as s:
        back = exchange(s, b"GET /v2/health/live HTTP/1.1\r\n\r\n")
    assert one_head(back) and b"Host" in back


NUL = [b"GET /v2/health/live\0x HTTP/1.1\r\nHost: x\r\n\r\n",
       b"GET /v2/health/live\0 HTTP/1.1\r\nHost: x\r\n\r\n",
       b"GET /v2/health/live?a=1\0b=2 HTTP/1.1\r\nHost: x\r\n\r\n",
       b"GET /v2/health/live HTTP/1.1\r\nHost: x\0y\r\n\r\n",
       b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nA: b\0\r\nC: d\r\n\r\n",
       b"GET /v2/health/live HTTP/1.1\r\nA: b\0Content-Length: 5\r\nHost: x\r\n\r\n",
       b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nLast: b\0\r\n\r\n",
       b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nLast: b\0long enough to see\r\n\r\n",
       b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\0, gzip\r\n\r\n0\r\n\r\n"]


@pytest.mark.parametrize("message", NUL)
def test_nul_is_refused(tiny, message):
    with tiny.socket() as s:
        assert one_head(exchange(s, message))


@pytest.mark.parametrize("line", [b": x", b" : x", b"A : x", b"A\x01: x", b"A: \x01", b"A: b\rc", b"A: b\r\n c"])
def test_bad_header_lines_are_refused(tiny, line):
    with tiny.socket() as s:
        assert one_head(exchange(s, b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n"))


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("piece", [1 << 20, 700, 1])
@pytest.mark.parametrize("many", [(1, 20000), (90, 180), (3, 0), (1, 1)])
def test_long_heads_hold_no_nul(tiny, end, piece, many):
    """However they come, and wherever the library moves them to."""
    n, length = many
    lines = [b"GET /v2/health/live?%s HTTP/1.1" % (b"a" * 500), b"Host: x", b"Empty:"]
    lines += [b"H%d:   %s  " % (i, b"v" * length) for i in range(n)] + [b"Connection: close", b"", b""]
    message = end.join(lines)
    with tiny.socket() as s:
        if piece == 1:
            s.sendall(message[:-300])
            for i in range(300, 0, -1):
                s.sendall(message[len(message) - i:len(message) - i + 1])
        else:
            for i in range(0, len(message), piece):
                s.sendall(message[i:i + piece])
        assert s.makefile("rb").readline().split()[1] == b"200"


LIBRARY = [(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505), (b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n", 414),
           (b"GET /long HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40000 + b"\r\n\r\n", 431),
           (b"GET /colon HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400),
           (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
           (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n", 413)]


@pytest.mark.parametrize("message, status", LIBRARY, ids=[str(i) for i in range(len(LIBRARY))])
def test_pages_of_the_library_are_counted_and_logged(start, message, status):
    d = start()
    with d.socket() as s:
        back = exchange(s, message)
    assert back.startswith(b"HTTP/1.1 %d " % status) and len(HEAD.findall(back)) == 1
    assert d.metric("mobilenetd_requests_unreadable_total") == 1
    assert logged(d, f"libmicrohttpd refuses a request that it cannot read: {status}")
    target = message.split()[1].decode()
    if status not in (505, 414):  # the target was read
        assert logged(d, f'path="{target}" status={status}')
        assert d.metric("mobilenetd_requests_total", code=str(status)) == 1


INNER = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"PUT /v1/classify?outer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def declared(*lines, body=INNER):
    return b"PUT /v1/classify?outer HTTP/1.1\r\nHost: x\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


DOUBTFUL = {
    "lf-after-size": CHUNKED + b"3\nabc\r\n0\r\n\r\n" + INNER,
    "lf-after-data": CHUNKED + b"3\r\nabc\n0\r\n\r\n" + INNER,
    "lf-at-the-end": CHUNKED + b"0\n\n" + INNER,
    "lf-in-extension": CHUNKED + b"2;\nxx\r\n45\r\n0\r\n\r\n" + INNER + b"\r\n0\r\n\r\n",
    "cr-in-extension": CHUNKED + b"2;a\rb\r\nxx\r\n0\r\n\r\n" + INNER,
    "lf-in-trailer": CHUNKED + b"0\r\nA: b\n\n" + INNER,
    "lf-in-head": (CHUNKED + b"0\r\n\r\n").replace(b"\r\n", b"\n") + INNER,
    "long-size": CHUNKED + b"0" * 40 + b"3\r\nabc\r\n0\r\n\r\n" + INNER,
    "nul-in-header": declared(b"A: b\0Content-Length: 5", b"Content-Length: %d" % len(INNER)),
    "nul-in-target": INNER.replace(b"/smuggled", b"/v1\0/smuggled"),
    "no-name": declared(b": chunked", b"Content-Length: %d" % len(INNER)),
    "no-name-length": declared(b": 5", b"Content-Length: %d" % len(INNER)),
    "length-and-coding": declared(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER),
    "two-lengths": declared(b"Content-Length: 0", b"Content-Length: %d" % len(INNER)),
    "list-of-lengths": declared(b"Content-Length: 0, %d" % len(INNER)),
    "signed-length": declared(b"Content-Length: +%d" % len(INNER)),
    "space-before-colon": declared(b"Content-Length : %d" % len(INNER)),
    "folded-length": declared(b"Content-Length:", b" %d" % len(INNER)),
    "folded-coding": declared(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n" + INNER),
    "cr-in-value": declared(b"A: b\rContent-Length: %d" % len(INNER)),
    "odd-coding": declared(b"Transfer-Encoding: xchunked", b"Content-Length: %d" % len(INNER)),
    "coding-twice": declared(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n" + INNER),
    "version-1.0": (CHUNKED + b"0\r\n\r\n" + INNER).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "get-with-length": INNER.replace(b"smuggled", b"v1").replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(INNER)) + INNER,
}


@pytest.mark.parametrize("name", ["nginx", "nginx-unbuffered", "haproxy"])
def test_proxies_and_we_agree_where_requests_end(start, tmp_path, name):
    """A proxy gives every request that it sees an id. One without was hidden in another, as the proxy saw it."""
    d = start("--log-level", "info")
    proxy = (proxies.haproxy(tmp_path, d.port) if name == "haproxy" else
             proxies.nginx(tmp_path, d.port, "off" if "un" in name else "on"))
    try:
        for message in DOUBTFUL.values():
            with proxy.connect() as s:
                s.sendall(message)
                s.settimeout(0.3)  # most proxies keep the connection: enough if nothing more comes
                try:
                    while s.recv(65536):
                        pass
                except (TimeoutError, ConnectionError):
                    pass
            with proxy.connect() as s:  # and the proxy's connection to us, which it keeps, is not out of step
                s.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                back = rest(s)
                assert back.startswith(b"HTTP/1.1 200") and b'"live":true' in back, (message, back)
    finally:
        proxy.stop()
    assert logged(d, 'id="through-')
    d.request("GET", "/v2/health/ready", headers={"X-Request-Id": "through-all"})
    assert logged(d, 'id="through-all"')  # lines are in their order: all others are there
    ids = dict(re.findall(r'request id="([^"]*)".* path="([^"]*)"', d.log()))
    hidden = {i: path for i, path in ids.items() if not i.startswith("through-") and path != "/v2/health/ready"}
    assert not hidden, (hidden, d.log()[-3000:])
