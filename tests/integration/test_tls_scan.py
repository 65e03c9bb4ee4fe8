"""What both ports let a client negotiate: one policy, found out by asking, as a scanner does; resumption; alerts."""
import re
import signal
import socket
import subprocess

import pytest

from daemon import logged, SANDBOX, wait_for
from secure import Secure

FRESH_AND_AUTHENTICATED = re.compile(r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)")
UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE, PROTOCOL_VERSION = 10, 40, 70


@pytest.fixture(params=["http", "grpc"])
def port_of(request):
    return lambda d: d.port if request.param == "http" else d.grpc_port


def s_client(d, port, *flags, ask=b""):
    """What openssl s_client says of one handshake."""
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", d.ca.cert, *flags], input=ask,
                          capture_output=True, timeout=60).stdout.decode(errors="replace")


def cipher(said):
    found = re.search(r"^\s*(?:New|Reused), (\S+), Cipher is (\S+)", said, re.M)
    return found[2] if found and found[2] != "(NONE)" else None


def all_ciphers():
    done = subprocess.run(["openssl", "ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:!PSK:!SRP:@SECLEVEL=0"], check=True,
                          capture_output=True, text=True, timeout=30)
    return done.stdout.strip().split(":")


def accepted(d, port):
    """All suites of TLS 1.2: what the server takes is offered no more, until it takes none."""
    left, found = all_ciphers(), []
    assert len(left) > 50 and "AES128-SHA" in left
    while left:
        taken = cipher(s_client(d, port, "-tls1_2", "-cipher", ":".join(left) + ":@SECLEVEL=0"))
        if not taken:
            break
        found.append(taken)
        left.remove(taken)
    return found


@pytest.fixture(params=["ec", "rsa"])
def scanned(request, ca, tiny_models):
    """With a key of either kind: an RSA key is what static RSA needs."""
    cert, key = ca.sign("server", "serverAuth", kind="ec" if request.param == "ec" else "rsa:2048")
    d = Secure(ca, tiny_models, "--tls-cert", cert, "--tls-key", key)
    yield d
    d.stop()


def test_only_fresh_keys_and_authenticated_ciphers(scanned):
    http, grpc = (accepted(scanned, port) for port in (scanned.port, scanned.grpc_port))
    assert len(http) >= 3 and set(http) == set(grpc)
    assert [c for c in http if not FRESH_AND_AUTHENTICATED.fullmatch(c)] == []


@pytest.mark.parametrize("version,works", [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_versions(secure, port_of, version, works):
    d = secure()
    assert bool(cipher(s_client(d, port_of(d), version, "-cipher", "ALL:@SECLEVEL=0"))) == works


def begin(d, port, path, version, ask):
    """A full handshake, whose session goes to the path."""
    said = s_client(d, port, version, "-alpn", "h2" if port == d.grpc_port else "http/1.1", "-sess_out", path, "-ign_eof", ask=ask)
    assert cipher(said), said


def resumed(d, port, path, version):
    said = s_client(d, port, version, "-alpn", "h2" if port == d.grpc_port else "http/1.1", "-sess_in", path)
    assert cipher(said), said
    return re.search(r"^(New|Reused), ", said, re.M)[1] == "Reused"


# To hold the connection until the tickets of TLS 1.3 have come: an answer, which closes it; a frame, which no client may send.
ASK = {"http": b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "grpc": b"GET / HTTP/1.1\r\n\r\n"}


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_handshakes_resume(secure, port_of, tmp_path, version):
    d = secure("--sandbox", SANDBOX)
    port, path = port_of(d), str(tmp_path / "session")
    begin(d, port, path, version, ASK["http" if port == d.port else "grpc"])
    assert all(resumed(d, port, path, version) for _ in range(3))


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_no_ticket_outlives_its_certificate(secure, ca, port_of, tmp_path, version):
    d = secure()
    port, path = port_of(d), str(tmp_path / "session")
    begin(d, port, path, version, ASK["http" if port == d.port else "grpc"])
    d.signal(signal.SIGHUP)
    wait_for(lambda: logged(d, "reloaded"))
    assert resumed(d, port, path, version)  # the same files
    old = d.serial(port)
    ca.sign("server", "serverAuth")
    d.signal(signal.SIGHUP)
    wait_for(lambda: d.serial(port) != old)
    assert not resumed(d, port, path, version)


def alert(d, port, data):
    """The alert (RFC 8446 6) that these bytes are answered with: (level, description)."""
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(data)
        said = b""
        while chunk := s.recv(4096):
            said += chunk
    assert said[:1] == b"\x15" and len(said) >= 7, said
    return tuple(said[-2:])


def hello(version, *suites):
    """A ClientHello (RFC 5246 7.4.1.2) with one group and one signature."""
    extensions = bytes.fromhex("000a00040002 0017 000d00040002 0403")
    offered = b"".join(s.to_bytes(2, "big") for s in suites)
    body = version + bytes(32) + b"\0" + len(offered).to_bytes(2, "big") + offered + b"\1\0" + len(extensions).to_bytes(2, "big") + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + len(message).to_bytes(2, "big") + message


AES128_SHA, ECDHE_ECDSA_AES128_SHA = 0x002F, 0xC009


@pytest.mark.parametrize("data,why", [(hello(b"\3\3", AES128_SHA, ECDHE_ECDSA_AES128_SHA), HANDSHAKE_FAILURE),
                                      (hello(b"\3\2", ECDHE_ECDSA_AES128_SHA), PROTOCOL_VERSION),
                                      (b"\x17\3\3\0\x20" + bytes(32), UNEXPECTED_MESSAGE)])
def test_a_failed_handshake_says_why(secure, port_of, data, why):
    d = secure()
    assert alert(d, port_of(d), data) == (2, why)
    assert d.serial(port_of(d))


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_without_its_certificate_is_told(secure, ca, other_ca, version):
    """Both ports with the same alert."""
    d = secure("--tls-client-ca", ca.cert, client=ca.sign("client", "clientAuth"))
    stranger = other_ca.sign("stranger", "clientAuth")
    for client in ((), ("-cert", stranger[0], "-key", stranger[1])):
        said = []
        for port in (d.port, d.grpc_port):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-ign_eof", *client], input=b"",
                                  capture_output=True, timeout=60)
            said.append(re.findall(rb"SSL alert number (\d+)", done.stderr))
        assert len(said[0]) == 1 and said[0] == said[1], said
