"""Clients that close their side of the connection behind a request and wait for the answer, and those that have left."""
import contextlib
import functools
import socket
import struct
import time

import pytest

import pictures
from daemon import read_response
from pictures import RED

GET = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def put(body):
    return b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def ask(d, message, end=True):
    """As `nc -N` does."""
    s = d.socket(60)
    s.sendall(message)
    if end:
        s.shutdown(socket.SHUT_WR)
    return s


def answer(s):
    """0: closed without one."""
    with contextlib.closing(s), s.makefile("rb") as stream:
        if not stream.peek(1):
            return 0
        status = read_response(stream)[0]
        assert status not in (200, 499) or stream.read() == b""
        return status


def wait_for(check):
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("message", [GET, put(RED), GET + put(RED)], ids=["get", "put", "pipelined"])
def test_who_half_closes_is_answered(tiny, message):
    for _ in range(20):
        with ask(tiny, message) as s, s.makefile("rb") as stream:
            for _ in range(message.count(b"HTTP/1.1")):
                assert read_response(stream)[0] == 200
            assert stream.read() == b""


def test_who_half_closes_by_tls_is_answered(secure):
    """The end of TLS and of TCP, both."""
    d = secure()
    for _ in range(10):
        raw = d.socket(60)
        with d.context().wrap_socket(raw, server_hostname="127.0.0.1") as s:
            s.sendall(put(RED))
            socket.socket(fileno=socket.dup(s.fileno())).shutdown(socket.SHUT_WR)
            assert read_response(s.makefile("rb"))[0] == 200


@functools.cache
def slow_messages():
    """Different pictures that take long: one after the other, for who asks /metrics on a slow machine to see one run."""
    return [put(pictures.noise(2400 + i, 1800)) for i in range(6)]


def behind_a_slow_one(start, mode, n, others):
    """(daemon, clients that half-closed behind pictures that take long, clients behind them)"""
    d = start("--half-close", mode, "--workers", "1", "--max-batch", "1", "--max-decode-ms", "60000")
    slow = [ask(d, message, end=False) for message in slow_messages()]
    wait_for(lambda: d.metric("mobilenetd_images_running") == 1)
    halves = [ask(d, put(RED)) for _ in range(n)]
    wait_for(lambda: d.metric("mobilenetd_images_waiting") >= n - 1)
    rest = [ask(d, put(RED), end=False) for _ in range(others)]
    return d, halves, [*slow, *rest]


@pytest.mark.parametrize("mode, others", [("answer", 0), ("answer", 5), ("cancel", 0), ("cancel", 5), ("auto", 5)])
def test_what_has_not_begun(start, mode, others):
    d, halves, rest = behind_a_slow_one(start, mode, 6, others)
    statuses = [answer(s) for s in halves]
    gone = d.metric("mobilenetd_images_total", outcome="gone")
    for s in rest:
        assert read_response(s.makefile("rb"))[0] == 200
        s.close()
    if mode == "answer":
        assert statuses == [200] * 6 and gone == 0
    else:  # the slow ones may have ended before all were there
        assert 200 not in statuses[-2:] and gone >= 2 and statuses.count(200) + gone == 6


def test_a_reset_always_cancels(start):
    d, halves, slow = behind_a_slow_one(start, "answer", 6, 0)
    for s in halves:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    for s in slow:
        assert read_response(s.makefile("rb"))[0] == 200
        s.close()
    wait_for(lambda: d.metric("mobilenetd_requests_open") == 1)
    assert d.metric("mobilenetd_images_total", outcome="gone") >= 2
