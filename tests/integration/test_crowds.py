"""More connections than there is room for, and the port that answers again afterwards; drains under a crowd."""
import contextlib
import os
import resource
import socket
import time

import pytest

from daemon import SANITIZED, logged
from pictures import RED
from swarm import Swarm

HALF_A_HEAD = b"GET /v2/health/live HTTP/1.1\r\nHost: "
HALF_A_HELLO = b"\x16\x03\x01\x02"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def connections(d, n, first):
    """Open at the same time, as far as the kernel goes along; each has sent `first`."""
    sockets = []
    for _ in range(n):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", d.port))
        sockets.append(s)
    for s in sockets:
        s.setblocking(True)
        s.settimeout(30)
        with contextlib.suppress(OSError):
            s.sendall(first)
    return sockets


def until_open(d_or_log, want, seconds=30):
    end = time.monotonic() + seconds
    while not want():
        assert time.monotonic() < end, d_or_log.log()[-2000:]
        time.sleep(0.02)


def open_sockets(d):
    """Descriptors of the daemon that are sockets."""
    n, folder = 0, f"/proc/{d.process.pid}/fd"
    for fd in os.listdir(folder):
        with contextlib.suppress(OSError):
            n += os.readlink(os.path.join(folder, fd)).startswith("socket:")
    return n


def burst_and_ask(d, n, first, limit, sockets=()):
    sockets = [*sockets, *connections(d, n, first)]
    until_open(d, lambda: open_sockets(d) >= limit)
    for s in sockets:
        s.close()
    assert d.classify(RED, timeout=60).status == 200


@pytest.mark.parametrize("first", [HALF_A_HEAD, LIVE, b""], ids=["half-a-head", "kept-alive", "silent"])
def test_answers_after_bursts_over_the_limit(start, first):
    d = start("--max-connections", "100")
    for _ in range(2):
        burst_and_ask(d, 1000, first, 100)
    until_open(d, lambda: d.metric("mobilenetd_connections") <= 1)
    assert d.metric("mobilenetd_connections_waiting") == 0


@pytest.mark.parametrize("first", [HALF_A_HELLO, b""], ids=["half-a-hello", "silent"])
def test_answers_after_bursts_over_the_limit_by_tls(secure, first):
    """Those who get in shake hands and send half a head."""
    d = secure("--max-connections", "100")
    context = d.context()
    for _ in range(2):
        inside = [context.wrap_socket(d.socket(60), server_hostname="127.0.0.1") for _ in range(100)]
        for s in inside:
            s.sendall(HALF_A_HEAD)
        burst_and_ask(d, 900, first, 100, inside)
    until_open(d, lambda: d.metric("mobilenetd_connections") <= 1)


def test_answers_after_bursts_with_few_descriptors(start):
    """Both ports share what there is: (130 - 64) / 2."""
    d = start(wrap=["prlimit", "--nofile=130:130"])
    assert "max_connections is 33" in d.log()
    for _ in range(2):
        burst_and_ask(d, 1000, HALF_A_HEAD, 33)


def test_connections_of_grpc_leave_room_for_http(start):
    d = start(wrap=["prlimit", "--nofile=130:130"])
    sockets = [socket.create_connection(("127.0.0.1", d.grpc_port), 30) for _ in range(200)]
    assert d.classify(RED).status == 200
    for s in sockets:
        s.close()


def cpu_seconds(d):
    with open(f"/proc/{d.process.pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs descriptors of its own")
def test_without_descriptors_it_waits_and_says_so(start):
    d = start("--max-connections", "100")
    until_open(d, lambda: d.metric("mobilenetd_connections") == 1)
    pid = d.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        with d.socket(60) as s:
            s.sendall(LIVE)
            begun, used = time.monotonic(), cpu_seconds(d)
            assert logged(d, "HTTP connections cannot be accepted (Too many open files)")
            assert logged(d, "1 HTTP connections wait to be accepted although only")
            assert (cpu_seconds(d) - used) / (time.monotonic() - begun) < 0.3
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert s.recv(12) == b"HTTP/1.1 200"
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_metrics_while_connections_expire(start):
    """What counts connections must not clean them up: a page is being written for one of them."""
    d = start("--idle-timeout-ms", "300", "--max-connections", "200")
    end = time.monotonic() + 4
    with d.socket() as s:
        stream = s.makefile("rb")
        while time.monotonic() < end:
            for idle in connections(d, 20, b"")[::2]:
                idle.close()
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in stream.readline()
            length = 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)


def drain(d, clients, after, pause):
    """A crowd of which some keep asking and some pause, an upload that never ends, and SIGTERM after so many answers."""
    body = RED
    ask = b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with d.socket() as stuck:
        stuck.sendall(ask[:-10])
        swarm = Swarm(d.port, clients, ask, pause)
        assert swarm.until(lambda: swarm.answers() >= after, 60)
        d.signal()
        ended = swarm.until(lambda: False, 60)
        status = d.wait()
        swarm.close()
    assert ended and status == 0, d.log()[-2000:]
    return swarm


@pytest.mark.parametrize("timeout", [0, 50, 150])
def test_a_drain_tells_everybody_that_it_was_the_last_answer(start, timeout):
    """Also those who still ask when its time is over. `tests/load/drains` does it a thousand times."""
    for i in range(2 if SANITIZED else 8):
        d = start("--drain-timeout-ms", str(timeout), "--no-log-requests")
        swarm = drain(d, 300, 100 * i, 2 * timeout / 1000)
        assert swarm.lost() == [] and all(c.told or c.raced for c in swarm.clients)
