"""The routes of HTTP over HTTP/2, on the gRPC port: the same answers, beside gRPC on one connection."""
import base64
import gzip
import json
import re
import select
import subprocess
import time

import pytest

from daemon import keys_file, wait_for
from h2raw import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, LIVE, Raw, block, frame
from pictures import RED, RED_JPEG, multipart, plain

SLOW = plain((200, 30, 90), (4000, 4000))
VARIES = re.compile(rb'"(queue|decode|preprocess|inference|total)":[0-9.e-]+')


def curl(d, path, *args, data=None, scheme="http", port=None):
    """(status, headers, body) over HTTP/2."""
    how = ["--http2-prior-knowledge"] if scheme == "http" else ["--http2"]
    given = ["--data-binary", "@-"] if data is not None else []
    done = subprocess.run(["curl", "-sS", "-i", *how, "--max-time", "30", *given, *args,
                           f"{scheme}://127.0.0.1:{port or d.grpc_port}{path}"], input=data, capture_output=True, timeout=40)
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first.split()[0] == "HTTP/2"
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/", "/openapi.json", "/v1/models", "/v2/models/colour_16", "/healthz",
                                  "/v2/health/live", "/v2/models/colour_16/config", "/v1/models/colour_16/metadata",
                                  "/v2/models/nobody", "/nothing", "/v2/systemsharedmemory/status", "/v1/%ff"])
def test_gets(tiny, path):
    r = tiny.request("GET", path)
    status, headers, body = curl(tiny, path)
    assert (status, body) == (r.status, r.body)
    assert headers["content-type"] == r.headers["Content-Type"] and headers["content-length"] == str(len(body))
    assert headers["x-request-id"] and set(headers) == {k.lower() for k in r.headers} - {"date", "connection"}


def test_head(tiny):
    status, headers, body = curl(tiny, "/v2", "-I")
    assert status == 200 and body == b"" and headers["content-length"] == str(len(tiny.request("GET", "/v2").body))


FORM = multipart([("image", "a.png", RED), ("image", "b.jpg", RED_JPEG)])
OIP = json.dumps({"inputs": [{"name": "input", "shape": [1, 16, 16, 3], "datatype": "UINT8", "data": [9, 90, 200] * 256}]}).encode()


@pytest.mark.parametrize("method, path, data, headers", [
    ("PUT", "/v1/classify", RED, {}), ("POST", "/v1/models/colour_16/classify?top_k=2", RED_JPEG, {}),
    ("POST", "/v1/classify", FORM[0], {"Content-Type": FORM[1]}),
    ("PUT", "/v1/classify", gzip.compress(RED), {"Content-Encoding": "gzip"}),
    ("POST", "/v2/models/colour_16/infer", OIP, {}),
    ("POST", "/v2/models/colour_16/infer", RED, {"Inference-Header-Content-Length": "0"}),
    ("POST", "/v1/models/colour_16:predict", json.dumps({"instances": [[[[9, 90, 200]] * 16] * 16]}).encode(), {}),
    ("PUT", "/v1/classify", b"no picture", {}), ("PUT", "/v1/classify", RED[:50], {}), ("PUT", "/v1/classify", b"", {}),
    ("PUT", "/v1/classify", RED, {"Content-Encoding": "br"}), ("PUT", "/v1/models/nobody/classify", RED, {}),
    ("PUT", "/v1/classify?top_k=x", RED, {}), ("DELETE", "/v1/classify", b"", {}), ("PUT", "/v2", RED, {}),
    ("POST", "/v2/models/colour_16/infer", b"{", {}), ("POST", "/v2/logging", b'{"log_info":true}', {})])
def test_bodies(tiny, method, path, data, headers):
    r = tiny.request(method, path, data, headers)
    flags = [a for k, v in {"Content-Type": "application/octet-stream", **headers}.items() for a in ("-H", f"{k}: {v}")]
    status, got, body = curl(tiny, path, "-X", method, *flags, data=data)
    assert status == r.status and VARIES.sub(b"", body) == VARIES.sub(b"", r.body)
    for name in ("Allow", "Accept-Encoding", "Inference-Header-Content-Length", "Content-Type"):
        assert got.get(name.lower()) == r.headers[name]


def test_too_large(start):
    d = start("--max-body", "100K")
    assert curl(d, "/v1/classify", "-X", "PUT", data=b"x" * 200_000)[0] == 413
    # Not announced: refused as soon as it is too much.
    with_length = ["-H", "Content-Length:"]
    assert curl(d, "/v1/classify", "-X", "PUT", *with_length, data=b"x" * 200_000)[0] == 413
    assert curl(d, "/v2/health/live")[0] == 200


def test_keys_and_origins(start, tmp_path):
    d = start("--api-keys", keys_file(tmp_path, "alice infer", "slow infer 0.1/1"), "--cors-origins", "https://a.example")
    status, headers, _ = curl(d, "/v2")
    assert status == 401 and headers["www-authenticate"] == 'Bearer realm="mobilenetd"'
    assert curl(d, "/v2", "-H", "Authorization: Bearer alice")[0] == 200
    assert curl(d, "/v2/health/live")[0] == 200
    assert [curl(d, "/v2", "-H", "X-API-Key: slow")[0] for _ in range(2)] == [200, 429]
    _, headers, _ = curl(d, "/v2", "-H", "X-API-Key: alice", "-H", "Origin: https://a.example")
    assert headers["access-control-allow-origin"] == "https://a.example"


def test_tls(secure):
    d = secure()
    status, _, body = curl(d, "/v1/classify", "-X", "PUT", "--cacert", d.ca.cert, data=RED, scheme="https")
    assert status == 200 and json.loads(body)["predictions"][0]["label"] == "red"


def rest(method, path, *more):
    return [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"), *more]


def test_beside_grpc_on_one_connection(tiny):
    raw = Raw(tiny)
    raw.request(1)
    raw.request(3, rest(b"PUT", b"/v1/classify"), RED)
    raw.request(5)
    assert raw.answer(3)[0][":status"] == "200"
    raw.live(7)
    raw.close()


def test_who_leaves_takes_the_work_back(start):
    d = start("--workers", "1", "--max-batch", "1")
    raw = Raw(d)
    for i in range(6):
        raw.headers(2 * i + 1, rest(b"PUT", b"/v1/classify"))
        for at in range(0, len(SLOW), 16000):
            raw.send(DATA, 0, 2 * i + 1, SLOW[at:at + 16000])
        raw.send(DATA, END_STREAM, 2 * i + 1)

    def ended(code):
        return d.metric("mobilenetd_requests_total", route="/v1/classify", code=code)
    wait_for(lambda: d.metric("mobilenetd_requests_open") - 1 + ended("200") >= 6)
    raw.close()
    wait_for(lambda: ended("200") + ended("499") == 6)
    assert ended("499") >= 1 and d.metric("mobilenetd_images_total", outcome="gone") >= 1
    assert d.classify(RED).status == 200


def test_a_body_that_never_ends(tiny):
    raw = Raw(tiny)
    raw.headers(1, rest(b"PUT", b"/v1/classify", (b"x-request-timeout-ms", b"300")))
    raw.send(DATA, 0, 1, RED[:20])
    begun = time.monotonic()
    fields, body = raw.answer(1)
    assert fields[":status"] == "504" and b"deadline" in body
    assert 0.2 < time.monotonic() - begun < 25  # half a minute by default
    raw.live(3)
    raw.close()


def test_h2load(tiny, tmp_path):
    (tmp_path / "photo").write_bytes(RED_JPEG)
    done = subprocess.run(["h2load", "-n300", "-c3", "-m10", "-d", str(tmp_path / "photo"),
                           f"http://127.0.0.1:{tiny.grpc_port}/v1/classify"], capture_output=True, text=True, timeout=60)
    assert "status codes: 300 2xx, 0 3xx, 0 4xx, 0 5xx" in done.stdout, done.stdout


def test_drain_answers_what_is_in_flight(start):
    d = start("--workers", "1")
    p = subprocess.Popen(["curl", "-sS", "--http2-prior-knowledge", "-X", "PUT", "--data-binary", "@-", "--max-time", "120",
                          f"http://127.0.0.1:{d.grpc_port}/v1/classify"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write(SLOW)
    p.stdin.close()
    wait_for(lambda: d.metric("mobilenetd_requests_open") > 1 or p.poll() is not None)
    d.signal()
    assert b'"predictions"' in p.stdout.read()
    assert p.wait(30) == 0 and d.wait() == 0


def test_lines_leave_when_they_are_ready(start):
    """NDJSON: a frame for a line, not all of them at the end."""
    d = start("--workers", "1", "--max-batch", "1")
    picture = base64.b64encode(SLOW).decode()
    body = "".join('{"id":%d,"image":"%s"}\n' % (i, picture) for i in range(8)).encode()
    p = subprocess.Popen(["curl", "-sSN", "--http2-prior-knowledge", "--data-binary", "@-", "-H",
                          "Content-Type: application/x-ndjson", f"http://127.0.0.1:{d.grpc_port}/v1/classify"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write(body)
    p.stdin.close()
    got = [json.loads(p.stdout.readline())["id"]]
    waiting = d.metric("mobilenetd_images_waiting")
    got += [json.loads(line)["id"] for line in p.stdout]
    assert p.wait(120) == 0 and got == list(range(8))
    assert waiting > 0  # the first was here before the last was begun


def test_what_drips_is_ended(start):
    """A byte now and then is no silence; a greeting, a head, a message and a body may not take for ever all the same."""
    d = start("--header-timeout-ms", "1000", "--body-timeout-ms", "1000", "--default-timeout-ms", "60000")
    greeting, head, data, message, body = Raw(d, b"PRI"), Raw(d), Raw(d), Raw(d), Raw(d)
    head.write(frame(HEADERS, 0, 1, block(LIVE)) + frame(CONTINUATION, END_HEADERS, 1, b"\0\x01a\x7f", length=100))
    data.write(frame(HEADERS, END_HEADERS, 1, block(LIVE)) + frame(DATA, 0, 1, length=1000))
    message.headers(1)
    message.send(DATA, 0, 1, b"\0\0\0\x03\xe8")  # of 1000 bytes
    body.headers(1, [(b":method", b"PUT"), (b":scheme", b"http"), (b":path", b"/v1/classify"), (b":authority", b"a"),
                     (b"content-length", b"1000")])
    cut = [greeting, head, data]
    open_ones = {c.socket for c in cut}
    begun = time.monotonic()
    for step in range(100):
        greeting.write(b" * HTTP/2.0\r\n\r\nSM\r\n"[step // 4:step // 4 + 1] if step % 4 == 0 else b"")
        head.write(b"a")
        data.write(b"\0")
        for c in (message, body):
            c.send(DATA, 0, 1, b"\0")
        time.sleep(0.1)
        for c in cut:
            try:
                if select.select([c.socket], [], [], 0)[0] and not c.socket.recv(65536):
                    open_ones.discard(c.socket)
            except ConnectionError:
                open_ones.discard(c.socket)
        if not open_ones and step > 25:
            break
    assert not open_ones and time.monotonic() - begun > 0.9
    assert message.answer(1)[0]["grpc-status"] == "4"
    fields, text = body.answer(1)
    assert fields[":status"] == "408" and b"body_timeout_ms" in text
    Raw(d).live(1)
    assert d.classify(RED).status == 200
