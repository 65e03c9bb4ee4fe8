"""A daemon under test, and the few ways in which the tests talk to it."""
import contextlib
import glob
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.abspath(os.environ.get("MOBILENETD_BUILD") or os.path.join(ROOT, "build"))
BINARY = os.path.join(BUILD, "mobilenetd")
SANITIZED = BUILD.endswith(("asan", "tsan"))
SANDBOX = "off" if SANITIZED else "on"  # sanitizers make calls that the filter forbids
SANITIZER_REPORT = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:)")


READY = re.compile(r"ready: http (\S+), grpc ([^\s,]+)")
ANY_PORT = "127.0.0.1:0"  # the kernel chooses it in bind(): nobody can take it in between


@contextlib.contextmanager
def refusing_address():
    """An address on which nobody listens, and nobody else can: it is held."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield "127.0.0.1:%d" % s.getsockname()[1]


def port_of(address):
    """None if it is not one of TCP."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdigit() else None


def keys_file(folder, *lines):
    """A file of API keys. A line is "SECRET SCOPES [RATE/BURST]"; the secret is the name, too."""
    path = os.path.join(str(folder), "keys")
    with open(path, "w") as f:
        for line in lines:
            secret, scopes, *rate = line.split()
            f.write(" ".join([secret, scopes, hashlib.sha256(secret.encode()).hexdigest(), *rate]) + "\n")
    return path


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def top(self):
        return self.json["predictions"][0]


def untuned(flags):
    """What is measured at idle would take the processor from other tests; few are about it."""
    return [] if any(f in ("--tune", "--no-tune") for f in flags) else ["--no-tune"]


PATIENT = {"--max-decode-ms": "60000", "--default-timeout-ms": "600000"}


def patient(flags):
    """Tests make more work wait than a slow machine does in two seconds; few are about that limit."""
    return [] if "--max-wait-ms" in flags else ["--max-wait-ms", "0"]


def slower(flags):
    """Under a sanitizer, pictures take ten times as long; few tests are about these limits."""
    if not SANITIZED:
        return []
    return [word for flag, value in PATIENT.items() if flag not in flags for word in (flag, value)]


class Daemon:
    """`mobilenetd serve` on ports that it chooses and logs. stop() demands exit status 0 and a log without
    sanitizer reports."""

    scheme = "http"

    def __init__(self, models, *flags, env=None, grpc=ANY_PORT, http=ANY_PORT, wrap=None):
        self.address = None  # and port, grpc_port, url: known when it is ready
        self.log_file = tempfile.NamedTemporaryFile(prefix="mobilenetd-", suffix=".log")
        self.process = subprocess.Popen(
            [*(wrap or []), BINARY, "serve", "--models", str(models), "--http", http,
             "--grpc", grpc, *untuned(flags), *patient(flags), *slower(flags), *flags],
            stdout=self.log_file, stderr=subprocess.STDOUT, env=dict(os.environ, **(env or {})),
            stdin=subprocess.DEVNULL)
        self.wait_ready()

    def wait_ready(self, seconds=600):  # a large model under a sanitizer, beside other work
        waited, last = 0, time.monotonic()
        while waited < seconds:
            running = self.process.poll() is None
            if not self.address:
                self.read_addresses()
            if not running:
                break
            try:
                if self.address and self.request("GET", "/v2/health/ready").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
            now = time.monotonic()
            waited, last = waited + min(now - last, 1), now  # a machine that stood still does not count
        threads = self.threads()
        self.process.kill()
        self.process.wait()
        log = self.log()[-3000:]
        raise AssertionError(f"not ready; exit status {self.process.returncode}; waited {waited:.0f} s; "
                             f"load {os.getloadavg()[0]:.1f}; last words: {''.join(log.splitlines()[-1:])}\n"
                             f"{threads}log:\n{log}")

    def read_addresses(self):
        m = READY.search(self.log())
        if m:
            self.address, self.port, self.grpc_port = m[1], port_of(m[1]), port_of(m[2])
            self.url = f"{self.scheme}://{self.address}"

    def threads(self):
        """What each thread does, one a line, if it still runs."""
        lines = []
        for task in sorted(glob.glob(f"/proc/{self.process.pid}/task/*")):
            try:
                with open(task + "/stat") as f:
                    name, _, fields = f.read().partition("(")[2].rpartition(")")
                with open(task + "/wchan") as f:
                    lines.append(f"{name} {fields.split()[0]} {fields.split()[11]} ticks in {f.read()}\n")
            except OSError:
                pass
        return "threads:\n" + "".join(lines) if lines else ""

    def connect(self, timeout=120):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=120):
        connection = self.connect(timeout)
        try:
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def classify(self, body, query="", **kwargs):
        return self.request("PUT", "/v1/classify" + query, body, **kwargs)

    def socket(self, timeout=120):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def metric(self, name, **labels):
        """Sum of the samples of `name` that carry these labels; 0 if there are none."""
        total = 0.0
        for line in self.request("GET", "/metrics").body.decode().splitlines():
            m = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if m and m.group(1) == name:
                have = dict(re.findall(r'(\w+)="([^"]*)"', m.group(2) or ""))
                if all(have.get(k) == v for k, v in labels.items()):
                    total += float(m.group(3))
        return total

    def log(self):
        with open(self.log_file.name, errors="replace") as f:
            return f.read()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=120):
        return self.process.wait(seconds)

    def stop(self):
        if self.process.poll() is None:
            self.signal()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("still running two minutes after SIGTERM; log:\n" + self.log()[-4000:]) from None
        log = self.log()
        self.log_file.close()
        report = SANITIZER_REPORT.search(log)
        assert not report, log[max(0, report.start() - 200):report.start() + 6000]
        assert self.process.returncode == 0, f"exit status {self.process.returncode}; log:\n{log[-4000:]}"


class Load:
    """One request without a pause from a few threads; any answer but 200 is remembered."""

    def __init__(self, daemon, path, body, headers=None, threads=4):
        self.request = ("PUT", path, body, headers or {})
        self.failures, self.count, self.stop = [], 0, False
        self.threads = [threading.Thread(target=self.run, args=(daemon,)) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self, daemon):
        c = daemon.connect()
        while not self.stop:
            try:
                c.request(*self.request)
                r = c.getresponse()
                body = r.read()
            except OSError as e:
                self.failures.append(repr(e))
                return
            self.count += 1
            if r.status != 200:
                self.failures.append((r.status, body))
        c.close()

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join()
        assert not self.failures, self.failures[:3]
        assert self.count > 0


def wait_for(check, seconds=120):
    """Until it holds; the limit is about what never comes, not about speed."""
    end = time.monotonic() + seconds * (5 if SANITIZED else 1)
    while not check():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def logged(daemon, text, seconds=120):
    """Whether the log says it, soon: lines are written by a thread of their own, after the answer."""
    end = time.monotonic() + seconds
    while text not in daemon.log() and time.monotonic() < end:
        time.sleep(0.02)
    return text in daemon.log()


def read_response(stream):
    """One HTTP response from a socket's file: (status, headers in lower case, body)."""
    status = int(stream.readline().split()[1])
    headers = {}
    while True:
        line = stream.readline().strip()
        if not line:
            break
        key, _, value = line.decode().partition(":")
        headers[key.lower()] = value.strip()
    return status, headers, stream.read(int(headers.get("content-length", 0)))
