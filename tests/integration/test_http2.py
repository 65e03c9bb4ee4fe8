"""The gRPC port, frame by frame: what is not gRPC, what is too much, who only sits there."""
import select
import socket
import struct
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

INFER = "/inference.GRPCInferenceService/ModelInfer"
LIVE = "/inference.GRPCInferenceService/ServerLive"


class Peer:
    """One connection, driven by a library that is not the server's."""

    def __init__(self, daemon):
        self.socket = socket.create_connection(("127.0.0.1", daemon.grpc_port), 10)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def request(self, *extra, path=LIVE, method="POST", type_="application/grpc", body=b"\0\0\0\0\0", end=True):
        stream = self.h2.get_next_available_stream_id()
        headers = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x")]
        if type_:
            headers.append(("content-type", type_))
        self.h2.send_headers(stream, headers + list(extra), end_stream=body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        self.flush()
        return stream

    def events(self, seconds=10):
        """All events until the connection closes or the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
                return
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                yield None
                return
            yield from self.h2.receive_data(data)
            self.flush()

    def answer(self, stream):
        """(status, headers and trailers, body) of one stream."""
        fields, body = {}, b""
        for e in self.events():
            if isinstance(e, (h2.events.ResponseReceived, h2.events.TrailersReceived)) and e.stream_id == stream:
                fields.update(e.headers)
            if isinstance(e, h2.events.DataReceived) and e.stream_id == stream:
                body += e.data
            if isinstance(e, h2.events.StreamEnded) and e.stream_id == stream:
                return fields.get(":status"), fields, body
        raise AssertionError(f"no answer; so far {fields}")

    def wait_end(self, seconds=10):
        """(error code of the GOAWAY or None, closed?)"""
        code = closed = None
        for e in self.events(seconds):
            if e is None:
                closed = True
            elif isinstance(e, h2.events.ConnectionTerminated):
                code = e.error_code
        return code, closed


@pytest.fixture
def peer(tiny):
    p = Peer(tiny)
    yield p
    p.socket.close()


def test_live(peer):
    status, fields, body = peer.answer(peer.request())
    assert (status, fields["grpc-status"], body) == ("200", "0", b"\0\0\0\0\x02\x08\x01")
    assert fields["content-type"] == "application/grpc"


@pytest.mark.parametrize("kwargs,status", [
    ({"method": "GET", "body": None}, "405"), ({"type_": "application/json"}, "415"), ({"type_": None}, "415"),
    ({"type_": "application/grpc-web"}, "415")])
def test_not_grpc(peer, kwargs, status):
    assert peer.answer(peer.request(**kwargs))[0] == status
    assert peer.answer(peer.request())[0] == "200"


@pytest.mark.parametrize("body,code", [
    (b"", "13"), (b"\0\0\0\0", "13"), (b"\0\0\0\0\1", "13"), (b"\2\0\0\0\0", "13"), (b"\1\0\0\0\0", "13"),
    (b"\0\0\0\0\0" * 2, "13"), (b"\0\xff\xff\xff\xff", "8")])
def test_bytes_that_are_no_messages(peer, body, code):
    status, fields, _ = peer.answer(peer.request(body=body))
    assert (status, fields["grpc-status"]) == ("200", code)
    assert fields["grpc-message"]


def test_a_unary_call_begins_when_the_request_has_ended(peer):
    """The second message may come long after the first could have been answered."""
    stream = peer.request(end=False)
    assert not any(isinstance(e, h2.events.ResponseReceived) for e in peer.events(0.2))
    peer.h2.send_data(stream, b"\0\0\0\0\0", end_stream=True)
    peer.flush()
    assert peer.answer(stream)[1]["grpc-status"] == "13"


@pytest.mark.parametrize("header,code", [
    (("grpc-timeout", "1x"), "3"), (("grpc-timeout", "123456789S"), "3"), (("grpc-encoding", "br"), "12")])
def test_headers_that_are_not_understood(peer, header, code):
    fields = peer.answer(peer.request(header))[1]
    assert fields["grpc-status"] == code
    assert "gzip" in fields["grpc-accept-encoding"]


def test_headers_that_are_too_large(peer):
    assert peer.answer(peer.request(*[(f"a{i}", "x" * 1000) for i in range(40)]))[0] == "431"
    assert peer.answer(peer.request())[0] == "200"


def test_message_in_single_bytes(peer):
    stream = peer.request(body=b"\0", end=False)
    for _ in range(4):
        peer.h2.send_data(stream, b"\0")
        peer.flush()
    peer.h2.end_stream(stream)
    peer.flush()
    assert peer.answer(stream)[1]["grpc-status"] == "0"


def test_request_that_never_ends(start):
    d = start("--default-timeout-ms", "500")
    p = Peer(d)
    assert p.answer(p.request(path=INFER, body=b"\0\0\0\0\x20abc", end=False))[1]["grpc-status"] == "4"
    p.socket.close()


def test_idle_connections_are_closed(start):
    d = start("--idle-timeout-ms", "1000")
    p = Peer(d)
    assert p.wait_end(6) == (h2.errors.ErrorCodes.NO_ERROR, True)


def test_http1_is_refused(tiny):
    with socket.create_connection(("127.0.0.1", tiny.grpc_port), 10) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        s.settimeout(10)
        while s.recv(65536):
            pass


def test_floods_cost_the_connection_alone(tiny):
    ping = b"\0\0\x08\x06\0\0\0\0\0" + b"12345678"
    settings = b"\0\0\0\x04\0\0\0\0\0"
    block = b"\x83\x86\x84\x01\x01x"
    resets = b"".join(struct.pack(">I", len(block))[1:] + b"\x01\x05" + struct.pack(">I", i) + block
                      + b"\0\0\4\3\0" + struct.pack(">I", i) + b"\0\0\0\x08" for i in range(1, 10_001, 2))
    for flood in (ping * 20_000, settings * 20_000, resets):
        p = Peer(tiny)
        p.socket.settimeout(5)
        try:
            p.socket.sendall(flood)
        except OSError:
            pass  # cut off in the middle
        try:
            while p.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        p.socket.close()
        q = Peer(tiny)
        assert q.answer(q.request())[1]["grpc-status"] == "0"
        q.socket.close()
