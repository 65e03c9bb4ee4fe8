"""What the daemon and a service manager tell each other."""
import signal
import socket
import subprocess
import time

import pytest

from daemon import ANY_PORT, BINARY, SANDBOX, SANITIZED, Daemon, port_of, refusing_address

PATIENCE = 60 if SANITIZED else 20


@pytest.fixture
def manager(tmp_path):
    """The manager's socket: what the daemon says of itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "notify"))
        s.settimeout(PATIENCE)
        yield s


@pytest.mark.parametrize("sandbox", sorted({"off", SANDBOX}))
def test_says_when_it_is_ready_alive_and_stopping(tiny_models, manager, sandbox):
    d = Daemon(tiny_models, "--sandbox", sandbox,
               env={"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "200000"})
    assert manager.recv(100) == b"READY=1"
    begun = time.monotonic()
    for _ in range(5):
        assert manager.recv(100) == b"WATCHDOG=1"
    assert 0.3 < time.monotonic() - begun < 50
    d.signal(signal.SIGTERM)
    said = manager.recv(100)
    while said == b"WATCHDOG=1":
        said = manager.recv(100)
    assert said == b"STOPPING=1"
    assert d.wait() == 0


def test_no_watchdog_for_another_process(tiny_models, manager):
    d = Daemon(tiny_models, env={"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})
    assert manager.recv(100) == b"READY=1"
    manager.settimeout(0.3)
    with pytest.raises(TimeoutError):
        manager.recv(100)
    d.stop()


def activated(models, fd, flags, names=""):
    """Started as a manager does: the sockets from descriptor 3 on, its own process id in the environment."""
    script = f'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={names} exec "$@" 3<&{fd}'
    return subprocess.Popen(["/bin/bash", "-c", script, "bash", BINARY, "serve", "--models", str(models), *flags],
                            pass_fds=(fd,), stderr=subprocess.PIPE, text=True)


def test_serves_on_a_socket_that_was_opened_for_it(tiny_models):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client, refusing_address() as unused:
        client.settimeout(PATIENCE)
        client.connect(listener.getsockname())  # before there is a daemon
        client.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        p = activated(tiny_models, listener.fileno(), ["--http", unused, "--grpc", ""], "http")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(unused)))
        p.send_signal(signal.SIGTERM)
        assert p.wait(PATIENCE) == 0
        assert f"http 127.0.0.1:{listener.getsockname()[1]}," in p.stderr.read()


def test_refuses_a_descriptor_that_is_no_listener(tiny_models):
    with socket.socket() as s:
        p = activated(tiny_models, s.fileno(), ["--http", ANY_PORT, "--grpc", ""])
        assert p.wait(PATIENCE) == 1
        assert "descriptor 3 of the service manager is not a listening stream socket" in p.stderr.read()


def test_grpc_on_a_unix_socket_that_was_opened_for_it(tiny_models, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "grpc"))
        listener.listen()
        client.settimeout(PATIENCE)
        client.connect(str(tmp_path / "grpc"))
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")  # preface, empty SETTINGS
        p = activated(tiny_models, listener.fileno(), ["--http", ANY_PORT, "--grpc", ANY_PORT], "grpc")
        assert client.recv(9)[3] == 4  # its SETTINGS
        p.send_signal(signal.SIGTERM)
        assert p.wait(PATIENCE) == 0
        p.stderr.read()
