"""A log that nobody reads, that fits nowhere, that has no descriptor: the daemon serves, counts and ends."""
import fcntl
import os
import signal
import socket
import subprocess

import pytest

from daemon import BINARY, SANITIZED, Daemon, wait_for

F_SETPIPE_SZ = 1031


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Bare(Daemon):
    """One whose log is not ours to read: its port is chosen here."""

    def __init__(self, models, port, **more):
        self.port, self.address = port, f"127.0.0.1:{port}"
        self.process = subprocess.Popen([*more.pop("wrap", []), BINARY, "serve", "--models", str(models), "--http", self.address,
                                         "--grpc", "", "--no-tune"], stdin=subprocess.DEVNULL, **more)
        wait_for(self.is_ready)

    def is_ready(self):
        assert self.process.poll() is None
        try:
            return self.request("GET", "/healthz").status == 200
        except OSError:
            return False

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0


def test_nobody_reads_the_log(tiny_models):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
    d = Bare(tiny_models, free_port(), stderr=writer)
    os.close(writer)
    wait_for(lambda: d.request("GET", "/healthz").status == 200 and d.metric("mobilenetd_requests_total") > 100)
    d.end()  # with the pipe full
    os.close(reader)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_lines_that_a_full_disk_lost_are_counted(tiny_models):
    with open("/dev/full", "w") as full:
        d = Bare(tiny_models, free_port(), stderr=full)
    wait_for(lambda: d.metric("mobilenetd_log_lines_dropped_total") >= 2)
    d.end()


@pytest.mark.skipif(SANITIZED, reason="a sanitizer writes to descriptor 2")
def test_without_standard_descriptors(tiny_models):
    """What is opened first must not become standard error: the log would go into it."""
    d = Bare(tiny_models, free_port(), wrap=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    for fd in range(3):
        assert os.readlink(f"/proc/{d.process.pid}/fd/{fd}") == "/dev/null"
    d.end()
