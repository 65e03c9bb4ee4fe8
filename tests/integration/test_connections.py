"""HTTP as clients really speak it: continue, pipelining, slow senders, silence, many at once."""
import concurrent.futures
import threading
import time

import pytest

import pictures
from daemon import read_response, wait_for
from pictures import BLUE, GREEN, RED


def put(body, *headers):
    head = ["PUT /v1/classify?top_k=1 HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def label(response):
    status, _, body = response
    assert status == 200, body
    return body.split(b'"label":"')[1].split(b'"')[0].decode()


def test_expect_100_continue(tiny):
    with tiny.socket() as s:
        stream = s.makefile("rb")
        s.sendall(put(b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: %d" % len(RED)))
        assert stream.readline().split()[1] == b"100"
        assert stream.readline() == b"\r\n"
        s.sendall(RED)
        assert label(read_response(stream)) == "red"


def test_pipelining(tiny):
    with tiny.socket() as s:
        s.sendall(put(RED) + put(GREEN) + put(BLUE) + b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n" + put(RED))
        stream = s.makefile("rb")
        assert [label(read_response(stream)) for _ in range(3)] == ["red", "green", "blue"]
        assert read_response(stream)[0] == 200
        assert label(read_response(stream)) == "red"


def test_chunked_upload(tiny):
    c = tiny.connect()
    c.request("PUT", "/v1/classify", iter([BLUE[:10], BLUE[10:11], BLUE[11:]]), encode_chunked=True,
              headers={"Transfer-Encoding": "chunked"})
    r = c.getresponse()
    assert label((r.status, None, r.read())) == "blue"
    c.close()


def test_slow_sender_does_not_hold_others(tiny):
    message = put(RED)
    with tiny.socket() as slow:
        for i in range(0, len(message), max(1, len(message) // 20)):
            slow.sendall(message[i:i + max(1, len(message) // 20)])
            assert tiny.classify(BLUE).top["label"] == "blue"  # held, it would wait for us, and we for it
        assert label(read_response(slow.makefile("rb"))) == "red"


def test_keep_alive(tiny):
    c = tiny.connect()
    for body, want in [(RED, "red"), (GREEN, "green"), (BLUE, "blue")] * 20:
        c.request("POST", "/v1/classify?top_k=1", body)
        r = c.getresponse()
        assert label((r.status, None, r.read())) == want
    c.close()


def test_http_1_0(tiny):
    with tiny.socket() as s:
        s.sendall(put(GREEN).replace(b"HTTP/1.1", b"HTTP/1.0"))
        stream = s.makefile("rb")
        assert label(read_response(stream)) == "green"
        assert stream.read() == b""  # closed


def test_silent_connection_is_closed(start):
    d = start("--idle-timeout-ms", "1000")
    with d.socket() as silent, d.socket() as half:
        half.sendall(put(RED)[:-10])
        begun = time.monotonic()
        assert silent.recv(1) == b""
        assert half.recv(1) in (b"", b"H")  # closed, or a 408
        assert 0.5 < time.monotonic() - begun < 50  # a minute by default
    assert d.classify(RED).status == 200


def test_dripped_heads_and_bodies_are_cut(start):
    d = start("--header-timeout-ms", "1500", "--body-timeout-ms", "1500")
    begins = (b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
              b"PUT /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nX-Request-Timeout-Ms: 60000\r\n\r\n")

    def drip(first):
        with d.socket() as s:
            s.sendall(first)
            with pytest.raises(ConnectionError):
                for _ in range(200):
                    s.sendall(b"x")
                    time.sleep(0.1)
    with concurrent.futures.ThreadPoolExecutor(len(begins)) as pool:
        list(pool.map(drip, begins))
    assert d.metric("mobilenetd_connections_cut_total") == len(begins)
    with d.socket() as s:  # a request in time starts the clock anew
        stream = s.makefile("rb")
        for _ in range(4):
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_response(stream)[0] == 200
            time.sleep(0.7)
    assert d.classify(RED).status == 200


def test_who_leaves_in_the_middle_is_forgotten(tiny):
    for _ in range(5):
        sockets = [tiny.socket() for _ in range(50)]
        for s in sockets:
            s.sendall(put(RED)[:-20])
            s.close()
    wait_for(lambda: tiny.metric("mobilenetd_requests_open") <= 1)


def test_many_at_once(tiny):
    work = [(RED, "red"), (GREEN, "green"), (BLUE, "blue")] * 100
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda w: tiny.classify(w[0]).top["label"] == w[1], work))
    assert all(answers)


def test_many_idle_connections(tiny):
    sockets = [tiny.socket() for _ in range(200)]
    assert tiny.classify(RED).top["label"] == "red"
    for s in sockets:
        s.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    for s in sockets:
        assert read_response(s.makefile("rb"))[0] == 200
        s.close()


def test_overload_is_429_with_retry_after(start):
    d = start("--queue-limit", "1", "--workers", "1", "--max-batch", "1")
    slow = pictures.plain((9, 99, 200), size=(6000, 5000), kind="JPEG")  # under 1 MB: a longer one may be cut off while it comes
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: d.classify(slow, timeout=120), range(16)))
    assert {r.status for r in answers} == {200, 429}
    for r in answers:
        if r.status == 429:
            assert int(r.headers["Retry-After"]) >= 1 and r.json["error"]
    assert d.classify(RED).status == 200


def test_bytes_that_wait_are_bounded(start):
    """By count there is room for all; by bytes for two. What finds an empty queue is taken, however long it is."""
    d = start("--queue-bytes", "1M", "--workers", "1", "--max-batch", "1")
    slow = pictures.plain((9, 99, 200), size=(6000, 5000), kind="JPEG")
    assert 350_000 < len(slow) < 1_000_000
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: d.classify(slow, timeout=120), range(16)))
    assert {r.status for r in answers} == {200, 429}
    long = pictures.noise(1800, 1200)
    assert len(long) > 1_048_576 and d.classify(long, timeout=60).status == 200


def test_refused_ones_cannot_hammer(start):
    """A refusal for load is held back a little: one connection gets no more than fifty a second."""
    d = start("--workers", "1", "--max-batch", "1", "--queue-limit", "1")
    slow = pictures.plain((9, 99, 200), size=(6000, 5000), kind="JPEG")  # under 1 MB: refused on a kept connection
    enough = threading.Event()

    def press():
        while not enough.is_set():
            d.classify(slow, timeout=120)

    refused, end = [], time.monotonic() + 300
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        pressing = [pool.submit(press) for _ in range(4)]
        try:
            with d.socket(60) as s:
                stream = s.makefile("rb")
                while len(refused) < 10 and time.monotonic() < end:
                    at = time.monotonic()
                    s.sendall(put(RED))
                    if read_response(stream)[0] == 429:
                        refused.append(time.monotonic() - at)
        finally:
            enough.set()
        for p in pressing:
            p.result()
    assert len(refused) == 10 and min(refused) >= 0.015
    assert d.classify(RED).status == 200


def test_memory_of_requests_is_bounded(start):
    """Bodies that have come count, announced ones do not; who finds no room is told to come back."""
    budget = 8 << 20
    d = start("--max-inflight-bytes", str(budget))
    sockets = [d.socket() for _ in range(12)]
    try:
        for s in sockets[:6]:  # announce a lot, send next to nothing
            s.sendall(put(b"").replace(b"Length: 0", b"Length: %d" % (budget // 4)) + b"x")
        assert d.classify(RED).status == 200
        for s in sockets[6:]:
            s.sendall(put(b"").replace(b"Length: 0", b"Length: 900000") + b"\xff\xd8" + b"x" * 700000)
        wait_for(lambda: d.metric("mobilenetd_memory_refusals_total") > 0)  # six bodies of 700 KB in 8 MB
        assert d.metric("mobilenetd_request_bytes") <= budget + (1 << 20)
    finally:
        for s in sockets:
            s.close()
    with d.socket() as s:
        s.sendall(put(b"").replace(b"Length: 0", b"Length: %d" % (budget // 4 + 1)))
        assert read_response(s.makefile("rb"))[0] == 413
    wait_for(lambda: d.classify(RED).status == 200)
