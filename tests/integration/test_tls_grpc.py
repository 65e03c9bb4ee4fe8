"""TLS of the gRPC port: ALPN, certificates of both sides, and nothing lost on the way."""
import itertools
import os
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from daemon import SANDBOX, wait_for
from h2raw import PING, PREFACE, SETTINGS, Raw, frame
from pictures import RED

grpc = pytest.importorskip("grpc")

SERVER_LIVE = "/inference.GRPCInferenceService/ServerLive"
INFER_STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"


def read(path):
    with open(path, "rb") as f:
        return f.read()


def channel_to(daemon, client=None):
    credentials = grpc.ssl_channel_credentials(read(daemon.ca.cert), *(map(read, reversed(client)) if client else ()))
    return grpc.secure_channel(f"127.0.0.1:{daemon.grpc_port}", credentials)


def live(daemon, client=None, timeout=20):
    channel = channel_to(daemon, client)
    try:
        return channel.unary_unary(SERVER_LIVE)(b"", timeout=timeout) == b"\x08\x01"
    except grpc.RpcError as e:
        return e.code().name
    finally:
        channel.close()


def context(daemon, protocols=("h2",)):
    c = daemon.context()
    if protocols:
        c.set_alpn_protocols(list(protocols))
    return c


class SecureRaw(Raw):
    """Frames inside of TLS."""

    def __init__(self, daemon, ctx):
        super().__init__(daemon, b"")
        self.socket = ctx.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.write(PREFACE + frame(SETTINGS))

    def read(self):
        while len(self.rest) < 9 or len(self.rest) < 9 + int.from_bytes(self.rest[:3], "big"):
            data = self.socket.recv(65536)
            if not data:
                return None
            self.rest += data
        return super().read()


def question(picture, n=1):
    """A ModelInferRequest with n pictures, written by hand."""
    def field(number, data):
        out, size = [number << 3 | 2], len(data)
        while size >= 128:
            out.append(size & 127 | 128)
            size >>= 7
        return bytes(out + [size]) + data
    contents = b"".join(field(8, picture) for _ in range(n))
    tensor = field(1, b"input") + field(2, b"BYTES") + field(3, bytes([n])) + field(5, contents)
    return field(1, b"colour_16") + field(5, tensor)


def test_a_client_of_its_own_kind(secure):
    d = secure()
    assert live(d) is True
    plain = grpc.insecure_channel(f"127.0.0.1:{d.grpc_port}")
    with pytest.raises(grpc.RpcError) as e:
        plain.unary_unary(SERVER_LIVE)(b"", timeout=5)
    assert e.value.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    plain.close()
    wrong = grpc.secure_channel(f"127.0.0.1:{d.grpc_port}", grpc.ssl_channel_credentials())
    with pytest.raises(grpc.RpcError):  # an authority that nobody knows
        wrong.unary_unary(SERVER_LIVE)(b"", timeout=5)
    wrong.close()


def test_streams_both_ways(secure):
    """Many records, in both directions at once, and messages larger than one."""
    d = secure()
    channel = channel_to(d)
    stream = channel.stream_stream(INFER_STREAM)
    large = RED + bytes(300_000)
    answers = list(stream((question(large if i % 7 == 0 else RED) for i in range(300)), timeout=120))
    assert len(answers) == 300 and len(set(answers)) == 1
    channel.close()


def test_alpn(secure, ca):
    d = secure()
    for offered, chosen in ((("h2",), "h2"), (("http/1.1", "h2"), "h2"), ((), None)):
        with socket.create_connection(("127.0.0.1", d.grpc_port), 30) as s:
            with context(d, offered).wrap_socket(s, server_hostname="127.0.0.1") as t:
                assert t.selected_alpn_protocol() == chosen
    with socket.create_connection(("127.0.0.1", d.grpc_port), 30) as s, pytest.raises(ssl.SSLError):
        context(d, ["http/1.1"]).wrap_socket(s, server_hostname="127.0.0.1")
    done = subprocess.run(["curl", "-sS", "--http2", "--max-time", "20", "--cacert", ca.cert, "-o", os.devnull, "-w",
                           "%{http_version} %{http_code}", f"https://127.0.0.1:{d.grpc_port}{SERVER_LIVE}"],
                          capture_output=True, timeout=30, text=True)
    assert done.stdout.split() == ["2", "405"], done.stderr


@pytest.mark.parametrize("ciphers,works", [("ECDHE-ECDSA-AES128-GCM-SHA256", True), ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
                                           ("ECDHE-ECDSA-AES128-SHA256", False), ("AES128-GCM-SHA256", False)])
def test_9_2_2_ciphers_of_tls_1_2(secure, ciphers, works):
    d = secure()
    c = context(d)
    c.maximum_version = ssl.TLSVersion.TLSv1_2
    c.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", d.grpc_port), 30) as s:
        if works:
            c.wrap_socket(s, server_hostname="127.0.0.1").close()
        else:
            with pytest.raises(ssl.SSLError):
                c.wrap_socket(s, server_hostname="127.0.0.1")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_frames_in_tls(secure, version):
    d = secure()
    ctx = context(d)
    ctx.minimum_version = ctx.maximum_version = version
    c = SecureRaw(d, ctx)
    for byte in frame(PING, 0, 0, b"12345678"):
        c.write(bytes([byte]))  # a record each
    c.until(lambda kind, flags, stream, payload: (kind, flags, payload) == (PING, 1, b"12345678"))
    c.live(1)
    c.send(PING, 0, 1, bytes(8))
    c.goaway(1)  # and a goodbye, or recv() would complain
    c.close()
    assert live(d) is True


def test_a_handshake_in_single_bytes(secure):
    d = secure()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    t = context(d).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", d.grpc_port), 30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                t.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    s.send(bytes([byte]))
                incoming.write(s.recv(65536))
        assert t.selected_alpn_protocol() == "h2"


def test_rubbish_and_half_handshakes(secure):
    d = secure("--idle-timeout-ms", "1000")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    for data in (b"GET / HTTP/1.1\r\n\r\n", PREFACE, bytes(100_000), b"\x16\x03\x01\xff\xff" + bytes(3000), hello, b""):
        with socket.create_connection(("127.0.0.1", d.grpc_port), 30) as s:
            try:
                s.sendall(data)
                while s.recv(65536):  # to the end, which must come
                    pass
            except OSError:
                pass
    assert live(d) is True


def test_a_new_certificate_by_sighup(secure, ca):
    d = secure("--sandbox", SANDBOX)
    channel = channel_to(d)
    call = channel.unary_unary(SERVER_LIVE)
    call(b"", timeout=20)
    old = d.serial(d.grpc_port)
    ca.sign("server", "serverAuth")
    d.signal(signal.SIGHUP)
    wait_for(lambda: d.serial(d.grpc_port) != old)
    assert call(b"", timeout=20) == b"\x08\x01"  # on the connection of the old one
    assert live(d) is True
    channel.close()


def test_mutual(secure, ca, other_ca):
    good = ca.sign("client", "clientAuth")
    d = secure("--tls-client-ca", ca.cert, client=good)
    assert live(d, good) is True
    assert live(d, timeout=5) in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    for bad in (other_ca.sign("stranger", "clientAuth"), ca.sign("wrong_use", "serverAuth"), ca.sign("expired", "clientAuth", days=-1)):
        assert live(d, bad, timeout=5) in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert live(d, good) is True


def test_many_at_once_and_the_way_out(secure):
    d = secure()
    results = []
    threads = [threading.Thread(target=lambda: results.append(live(d))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True] * 8
    channel = channel_to(d)
    idle = channel.stream_stream(INFER_STREAM)(itertools.chain([b""], iter(threading.Event().wait, True)), timeout=60)
    assert next(idle)  # it is open
    d.signal()
    with pytest.raises(grpc.RpcError) as e:
        next(idle)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert d.wait() == 0
    channel.close()
