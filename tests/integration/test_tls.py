"""TLS of the HTTP port: curl and Python as clients, certificates made here, new ones by SIGHUP."""
import http.client
import signal
import socket
import ssl
import subprocess
import time

import pytest

from daemon import BINARY, Daemon
from pictures import RED


class Authority:
    """A CA in a folder, and what it signs."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.cert, self.key = self.path("crt"), self.path("key")
        self.openssl("req", "-x509", *self.new_key(self.key), "-out", self.cert, "-days", "2", "-subj", f"/CN={name}")

    def path(self, kind, name=None):
        return str(self.folder / f"{name or self.name}.{kind}")

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=30)

    def new_key(self, path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]

    def sign(self, name, usage, days=2):
        """(certificate, key)"""
        self.openssl("req", *self.new_key(self.path("key", name)), "-out", self.path("csr", name), "-subj", f"/CN={name}")
        with open(self.path("ext", name), "w") as f:
            f.write(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        self.openssl("x509", "-req", "-in", self.path("csr", name), "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial",
                     "-days", str(days), "-extfile", self.path("ext", name), "-out", self.path("crt", name))
        return self.path("crt", name), self.path("key", name)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("other"), "other")


class Secure(Daemon):
    def __init__(self, ca, models, *flags, client=None):
        self.ca, self.client = ca, client
        super().__init__(models, *flags)
        self.url = f"https://{self.address}"

    def context(self, client=None):
        context = ssl.create_default_context(cafile=self.ca.cert)
        if client or self.client:
            context.load_cert_chain(*(client or self.client))
        return context

    def connect(self, timeout=30):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.context())

    def serial(self):
        with socket.create_connection(("127.0.0.1", self.port), 30) as s:
            with self.context().wrap_socket(s, server_hostname="127.0.0.1") as t:
                return t.getpeercert()["serialNumber"]

    def curl(self, path, *args):
        return subprocess.run(["curl", "-sS", "--max-time", "20", *args, self.url + path], capture_output=True, timeout=30)


@pytest.fixture
def secure(tiny_models, ca):
    daemons = []

    def make(*flags, client=None):
        cert, key = ca.sign("server", "serverAuth")
        daemons.append(Secure(ca, tiny_models, "--tls-cert", cert, "--tls-key", key, *flags, client=client))
        return daemons[-1]

    yield make
    for d in daemons:
        d.stop()


def wait_for(check, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_curl(secure, ca, other_ca, tmp_path):
    d = secure()
    done = d.curl("/v2/health/live", "--cacert", ca.cert, "-w", "%{http_code}")
    assert done.returncode == 0 and done.stdout.endswith(b"200"), done.stderr
    (tmp_path / "red").write_bytes(RED)
    done = d.curl("/v1/classify", "--cacert", ca.cert, "-T", str(tmp_path / "red"))
    assert b'"predictions"' in done.stdout, done.stderr
    assert d.curl("/v2", "--cacert", other_ca.cert).returncode == 60  # not to be trusted
    assert d.curl("/v2", "--cacert", ca.cert, "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0").returncode != 0
    assert d.curl("/v2", "--cacert", ca.cert, "--tls-max", "1.2").returncode == 0


def test_answers_are_those_of_clear_text(secure, tiny):
    a, b = secure().classify(RED).top, tiny.classify(RED).top
    a.pop("timing", None), b.pop("timing", None)
    assert a == b and len(a) > 0


def test_large_bodies_and_keep_alive(secure):
    d = secure()
    connection = d.connect()
    for size in (3_000_000, 100, 1_000_000):
        connection.request("PUT", "/v1/classify", bytes(size))
        r = connection.getresponse()
        r.read()
        assert r.status in (415, 422), r.status
    connection.close()


def test_clear_text_and_rubbish_on_a_tls_port(secure):
    d = secure()
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(1000), b"\x16\x03\x01\xff\xff" + bytes(3000)):
        with d.socket() as s:
            s.sendall(data)
            try:
                s.shutdown(socket.SHUT_WR)
                assert b"HTTP/1.1 200" not in s.recv(4096)
            except OSError:
                pass  # it was cut off already
    assert d.request("GET", "/v2/health/live").status == 200


def test_a_new_certificate_by_sighup(secure, ca):
    d = secure("--sandbox", "on")
    open_before = d.connect()
    open_before.request("GET", "/v2/health/live")
    assert open_before.getresponse().read() is not None
    old = d.serial()
    ca.sign("server", "serverAuth")
    d.signal(signal.SIGHUP)
    wait_for(lambda: d.serial() != old)
    open_before.request("GET", "/v2/health/live")
    assert open_before.getresponse().status == 200
    open_before.close()
    new = d.serial()
    with open(ca.path("key", "server"), "w") as f:
        f.write("nonsense")
    d.signal(signal.SIGHUP)
    wait_for(lambda: "reload failed" in d.log())
    assert "tls_key" in d.log() and d.serial() == new


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_mutual(secure, ca, other_ca, version):
    good = ca.sign("client", "clientAuth")
    d = secure("--tls-client-ca", ca.cert, client=good)
    flags = ("--cacert", ca.cert, f"--tlsv{version}", "--tls-max", version)

    def status(*client):
        more = ("--cert", client[0], "--key", client[1]) if client else ()
        done = d.curl("/v2/health/live", *flags, *more, "-w", "%{http_code}")
        return done.stdout[-3:]

    assert status(*good) == b"200"
    assert status() == b"000"
    assert status(*other_ca.sign("stranger", "clientAuth")) == b"000"
    assert status(*ca.sign("wrong_use", "serverAuth")) == b"000"
    assert status(*ca.sign("expired", "clientAuth", days=-1)) == b"000"
    assert status(*good) == b"200"


def test_mistakes_stop_the_start(ca, other_ca, tiny_models, tmp_path):
    cert, key = ca.sign("server", "serverAuth")
    (tmp_path / "rubbish").write_bytes(b"\0" * 100)
    (tmp_path / "giant").write_bytes(b"A" * 5_000_000)
    rubbish, giant = str(tmp_path / "rubbish"), str(tmp_path / "giant")
    for flags, words in (((cert, "", ""), "both"), (("", key, ""), "both"), (("", "", ca.cert), "both"),
                         ((cert, other_ca.key, ""), "not the key"), ((rubbish, key, ""), "tls_cert"), ((cert, rubbish, ""), "tls_key"),
                         ((cert, key, rubbish), "tls_client_ca"), ((giant, key, ""), "4 MB"), ((cert + "x", key, ""), "cannot be read")):
        done = subprocess.run([BINARY, "serve", "--models", str(tiny_models), "--http", "127.0.0.1:0", "--grpc", "",
                               *(f"--{o}={v}" for o, v in zip(("tls-cert", "tls-key", "tls-client-ca"), flags) if v)],
                              capture_output=True, timeout=30, text=True)
        assert done.returncode == 1 and words in done.stderr, (flags, done.stderr)
