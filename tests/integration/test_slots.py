"""Who gets a connection when there are more than enough of them: silence makes room, probes have a reserve and an address."""
import contextlib
import http.client
import json
import os
import socket
import subprocess

import pytest

from daemon import BINARY, Daemon, keys_file, logged, read_response, wait_for
from h2raw import END_STREAM, HEADERS, LIVE, Raw
from pictures import RED

PATIENT = ["--header-timeout-ms", "3600000", "--idle-timeout-ms", "3600000"]  # nothing but a limit ends a connection here
UPLOAD = b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(RED)
INFER = [*LIVE[:2], (b":path", b"/inference.GRPCInferenceService/ModelInfer"), *LIVE[3:]]


def bites(d, limit, port="http"):
    return d.metric("mobilenetd_connection_limits_total", port=port, limit=limit)


@contextlib.contextmanager
def crowd(port, n, first=b""):
    """Connections that stay as they are."""
    sockets = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(n)]
    try:
        for s in sockets:
            with contextlib.suppress(OSError):
                s.sendall(first)
        yield sockets
    finally:
        for s in sockets:
            s.close()


def ask(connection, method, path, body=None, headers=None):
    connection.request(method, path, body, headers or {})
    r = connection.getresponse()
    return r.status, dict(r.getheaders()), r.read()


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(self.path)


@pytest.mark.parametrize("first", [b"", b"GET /v1/models HT", b"GET / HTTP/1.1\r\nHost:"], ids=["silent", "line", "head"])
def test_who_sent_no_head_makes_room(start, first):
    d = start("--max-connections", "40", *PATIENT)
    with crowd(d.port, 100, first):
        for _ in range(3):
            assert d.request("GET", "/healthz").status == 200
            assert d.classify(RED).top["label"] == "red"
        assert bites(d, "silent") >= 60 and bites(d, "reserve") == 0
        assert logged(d, "of 40 open: all connections are taken (max_connections): the oldest that had sent no request")
        assert d.log().count("the oldest that had sent no request") == 1  # once a minute


def test_who_asked_nothing_for_a_second_makes_room(start):
    d = start("--max-connections", "20", *PATIENT)
    with crowd(d.port, 20, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") as sockets:
        for s in sockets:
            assert read_response(s.makefile("rb"))[0] == 200
        wait_for(lambda: d.classify(RED).status == 200)
        assert bites(d, "idle") >= 1
        assert sockets[0].recv(1) == b""  # it had waited longest


def test_who_uploads_keeps_its_place(start):
    """All are at work: health is answered by the reserve, the rest is 503, and one that goes makes room."""
    d = start("--max-connections", "10", *PATIENT, "--body-timeout-ms", "3600000", "--default-timeout-ms", "3600000")
    with crowd(d.port, 10, UPLOAD + RED[:-1]) as sockets:
        wait_for(lambda: d.request("GET", "/healthz").headers["Connection"] == "close")  # all of them were heard
        assert d.request("GET", "/v2/health/ready").status == 200
        refused = d.classify(RED)
        assert refused.status == 503 and refused.headers["Retry-After"] == "1" and refused.headers["Connection"] == "close"
        assert "all connections are taken" in refused.json["error"]
        for s in sockets:
            s.sendall(RED[-1:])
            assert read_response(s.makefile("rb"))[0] == 200
        sockets[3].close()
        wait_for(lambda: d.classify(RED).status == 200)
        assert bites(d, "reserve") >= 3 and bites(d, "silent") == 0


def test_a_silent_reserve_makes_room_too(start):
    d = start("--max-connections", "10", *PATIENT, "--body-timeout-ms", "3600000", "--default-timeout-ms", "3600000")
    with crowd(d.port, 10, UPLOAD + RED[:-1]), crowd(d.port, 40):
        for _ in range(20):
            assert d.request("GET", "/healthz").status == 200


def test_grpc_makes_room(start):
    d = start("--max-connections", "40", *PATIENT)
    with crowd(d.grpc_port, 100):
        for _ in range(3):
            peer = Raw(d)
            peer.request(1)
            assert peer.until(lambda kind, flags, stream, payload: kind == HEADERS and stream == 1)
            peer.close()
        assert bites(d, "silent", "grpc") >= 60


def test_grpc_keeps_a_reserve(start):
    d = start("--max-connections", "10", *PATIENT, "--default-timeout-ms", "3600000", "--body-timeout-ms", "3600000")
    busy = [Raw(d) for _ in range(10)]
    for peer in busy:
        peer.headers(1, INFER)
    wait_for(lambda: d.metric("mobilenetd_requests_open") >= 11)  # and the one that asks
    assert d.metric("mobilenetd_connections", port="grpc") == 10

    def answer(fields):
        peer = Raw(d)
        try:
            peer.request(1, fields)
            frames = [peer.until(lambda kind, flags, stream, payload: kind == HEADERS and stream == 1)]
            while not frames[-1][1] & END_STREAM:
                frames.append(peer.until(lambda kind, flags, stream, payload: kind == HEADERS and stream == 1))
            return {k: v for f in frames for k, v in f[3]}
        finally:
            peer.close()
    assert answer(LIVE)["grpc-status"] == "0"
    assert answer(INFER)["grpc-status"] == "14"  # UNAVAILABLE
    busy[0].close()
    wait_for(lambda: answer(INFER)["grpc-status"] != "14")
    for peer in busy:
        peer.close()


def test_one_address_has_its_limit(start):
    d = start("--max-connections-per-address", "5", *PATIENT)
    with crowd(d.port, 5) as sockets, crowd(d.grpc_port, 5):
        with d.socket() as sixth:
            assert sixth.recv(1) == b""
        with socket.create_connection(("127.0.0.1", d.grpc_port), 60) as sixth:
            assert sixth.recv(100) == b""
        with socket.create_connection(("127.0.0.1", d.port), 60, ("127.0.0.2", 0)) as other:
            other.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_response(other.makefile("rb"))[0] == 200
        sockets[0].close()
        wait_for(lambda: healthy(d))
        assert bites(d, "address") >= 1 and bites(d, "address", "grpc") == 1
        assert logged(d, "gRPC, 5 of 4096 open: a connection was closed: its address has as many as one may have")


def healthy(d):
    try:
        return d.request("GET", "/healthz").status == 200
    except (OSError, http.client.HTTPException):
        return False


def test_one_network_of_ipv6_has_its_limit(start):
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    d = start("--max-connections-per-address", "2", *PATIENT, http="[::]:0")
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(("::1", d.port), 60))
        with socket.create_connection(("::1", d.port), 60) as third:
            assert third.recv(1) == b""


@pytest.fixture
def administered(start, tmp_path):
    keys = keys_file(tmp_path, "boss infer,admin,metrics")
    path = str(tmp_path / "admin.sock")

    def make(*flags):
        return start("--admin-http", "unix:" + path, "--admin", "--api-keys", keys, *flags), path
    return make


def test_a_second_address_for_those_who_run_it(administered):
    d, path = administered()
    c, key = Unix(path), {"X-API-Key": "boss"}
    assert ask(c, "GET", "/healthz")[0] == 200
    assert ask(c, "GET", "/metrics")[0] == 401 and ask(c, "GET", "/metrics", None, key)[0] == 200
    assert ask(c, "POST", "/v2/repository/index", b"{}", key)[0] == 200
    assert ask(c, "POST", "/v2/repository/models/nobody/load", b"", key)[0] == 400
    status, _, body = ask(c, "PUT", "/v1/classify", RED, key)
    assert status == 404 and "admin_http" in json.loads(body)["error"]
    assert b'connections{port="admin"} 1' in ask(c, "GET", "/metrics", None, key)[2]
    assert f"admin unix:{path}" in d.log()
    health = subprocess.run([BINARY, "health", "--http", "127.0.0.1:1", "--admin-http", "unix:" + path], capture_output=True)
    assert health.returncode == 0 and health.stdout == b"ready\n"
    c.close()


def test_it_answers_when_the_first_cannot(administered):
    d, path = administered("--max-connections", "10", *PATIENT, "--body-timeout-ms", "3600000")
    key = b"X-API-Key: boss\r\n\r\n"
    with crowd(d.port, 18, UPLOAD.replace(b"\r\n\r\n", b"\r\n" + key) + RED[:-1]), crowd(d.port, 30):
        c = Unix(path)
        assert ask(c, "GET", "/healthz")[0] == 200
        assert b"mobilenetd_connections " in ask(c, "GET", "/metrics", None, {"X-API-Key": "boss"})[2]
        c.close()


def test_it_answers_until_the_end(administered):
    d, path = administered("--drain-grace-ms", "3600000")
    c = Unix(path)
    assert ask(c, "GET", "/healthz")[0] == 200
    d.signal()
    wait_for(lambda: ask(c, "GET", "/healthz")[0] == 503)
    status, headers, _ = ask(Unix(path), "GET", "/v2/health/live")
    assert status == 200 and headers["Connection"] == "close"
    d.process.kill()
    d.wait()
    d.process.returncode = 0  # its grace was longer than ours


def test_a_taken_address_is_noticed_before_the_models_are_read(tmp_path):
    """The repository is one that cannot be read: what is said first is what was tried first."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = "127.0.0.1:%d" % s.getsockname()[1]
        for option in ("--http", "--grpc", "--admin-http"):
            flags = {"--http": "127.0.0.1:0", "--grpc": "127.0.0.1:0", option: taken}
            p = subprocess.run([BINARY, "serve", "--models", str(tmp_path / "none"), *(x for kv in flags.items() for x in kv)],
                               capture_output=True, timeout=120)
            assert p.returncode == 1 and b"Address already in use" in p.stderr, p.stderr


def test_nobody_is_let_wait_while_it_starts(tiny_models, tmp_path):
    """Until it serves, a connection is refused: whoever asks can ask another."""
    path = str(tmp_path / "sock")
    d = Daemon(tiny_models, "--admin-http", "unix:" + path)
    try:
        assert os.path.exists(path)
    finally:
        d.stop()
