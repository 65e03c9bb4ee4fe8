"""TLS of the HTTP port: curl and Python as clients, certificates made here, new ones by SIGHUP."""
import os
import signal
import socket
import subprocess

import pytest

from daemon import BINARY, logged, SANDBOX, wait_for
from pictures import RED


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
    d = secure("--sandbox", SANDBOX)
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
    assert logged(d, "tls_key") and d.serial() == new


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


def health(*flags, env=None):
    return subprocess.run([BINARY, "health", *flags], capture_output=True, text=True, timeout=30, env=dict(os.environ, **(env or {})))


def test_the_command_health(secure, ca, tiny):
    d = secure()
    assert health("--http", d.address, "--tls-cert", "any").returncode == 0
    done = health("--http", d.address, env={"MOBILENETD_TLS_CERT": "any"})  # as in the server's own container
    assert (done.returncode, done.stdout) == (0, "ready\n")
    assert health("--http", d.address).returncode != 0  # in clear text
    done = health("--http", tiny.address, "--tls-cert", "any")
    assert done.returncode == 1 and "TLS" in done.stderr
    d.signal()
    d.wait()
    assert health("--http", d.address, "--tls-cert", "any").returncode == 1


def test_the_command_health_and_a_certificate(secure, ca, tmp_path):
    """The server asks clients for one."""
    cert, key = ca.sign("client", "clientAuth")
    d = secure("--tls-client-ca", ca.cert, client=(cert, key))
    done = health("--http", d.address, "--tls-cert", "any")
    assert done.returncode == 1 and done.stderr
    assert health("--http", d.address, "--client-cert", cert, "--client-key", key).returncode == 0
    both = tmp_path / "both.pem"
    both.write_text(open(cert).read() + open(key).read())
    assert health("--http", d.address, "--client-cert", str(both)).returncode == 0
    done = health("--http", d.address, "--client-cert", str(tmp_path / "none.pem"))
    assert done.returncode == 1 and "client_cert" in done.stderr and "none.pem" in done.stderr
    other = ca.sign("other", "serverAuth")  # signed, but not for clients
    assert health("--http", d.address, "--client-cert", other[0], "--client-key", other[1]).returncode == 1
