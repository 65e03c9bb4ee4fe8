"""HTTP/2 frame by frame: whatever a client could send, however wrong, and what came back."""
import select
import socket
import struct
import time

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, \
    REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(12)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = \
    range(1, 7)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SECONDS = 20  # until something that must come is missed

LIVE = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/inference.GRPCInferenceService/ServerLive"),
        (b":authority", b"localhost"), (b"content-type", b"application/grpc"), (b"te", b"trailers")]
WATCH = [*LIVE[:2], (b":path", b"/grpc.health.v1.Health/Watch"), *LIVE[3:]]  # its answer never ends
REFLECT = [*LIVE[:2], (b":path", b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), *LIVE[3:]]
EMPTY = b"\0\0\0\0\0"  # a gRPC message of no bytes


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    return struct.pack(">I", len(payload) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def setting(key, value):
    return struct.pack(">HI", key, value)


def number(value):
    return struct.pack(">I", value)


def literal(name, value):
    """A field without indexing, without Huffman's code; of less than 127 bytes each."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def block(fields):
    return b"".join(literal(*f) for f in fields)


class Raw:
    """A connection. What comes is kept in `frames` until somebody asks for it."""

    def __init__(self, daemon, greeting=PREFACE + frame(SETTINGS)):
        self.socket = socket.create_connection(("127.0.0.1", daemon.grpc_port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = hpack.Decoder()
        self.decoder.max_allowed_table_size = 1 << 20
        self.rest, self.frames, self.pings = b"", [], 0
        self.seconds = SECONDS
        self.write(greeting)

    def close(self):
        self.socket.close()

    def write(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # it was cut off: what it said before can still be read

    def send(self, *args, **kwargs):
        self.write(frame(*args, **kwargs))

    def headers(self, stream, fields=LIVE, flags=END_HEADERS):
        self.send(HEADERS, flags, stream, block(fields))

    def request(self, stream, fields=LIVE, body=EMPTY):
        self.write(frame(HEADERS, END_HEADERS, stream, block(fields)) + frame(DATA, END_STREAM, stream, body))

    def read(self):
        """The next frame as (type, flags, stream, payload); of HEADERS, the fields; None: closed."""
        end = time.monotonic() + self.seconds
        while True:
            if len(self.rest) >= 9:
                length = int.from_bytes(self.rest[:3], "big")
                if len(self.rest) >= 9 + length:
                    kind, flags, stream = struct.unpack(">BBI", self.rest[3:9])
                    payload, self.rest = self.rest[9:9 + length], self.rest[9 + length:]
                    if kind == HEADERS:
                        payload = self.decoder.decode(payload)
                    self.frames.append((kind, flags, stream, payload))
                    return self.frames[-1]
            left = end - time.monotonic()
            assert left > 0 and select.select([self.socket], [], [], left)[0], f"silence; so far {self.frames}"
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.rest += data

    def until(self, wanted):
        """Reads to the first frame that is wanted(type, flags, stream, payload)."""
        while True:
            f = self.read()
            assert f, f"closed; so far {self.frames}"
            if wanted(*f):
                return f
            assert f[0] != GOAWAY, f"the connection ends: {f}"

    def ping(self):
        """It is alive, and has seen all that was sent."""
        self.pings += 1
        mark = struct.pack(">Q", self.pings)
        self.send(PING, 0, 0, mark)
        self.until(lambda kind, flags, stream, payload: kind == PING and flags == ACK and payload == mark)

    def settle(self):
        """All that it had to send when this began is here: answers to pings overtake DATA."""
        self.ping()
        self.ping()

    def goaway(self, *codes):
        """It ends the connection, with one of these codes, and closes it."""
        got = None
        while True:
            f = self.read()
            if f is None:
                break
            if f[0] == GOAWAY:
                got = struct.unpack(">I", f[3][4:8])[0]
        assert got in codes, f"GOAWAY {got}, not {codes}; {self.frames}"

    def reset(self, stream, *codes):
        """It ends the stream, with one of these codes, and nothing else."""
        f = self.until(lambda kind, flags, at, payload: kind == RST_STREAM and at == stream)
        code = struct.unpack(">I", f[3])[0]
        assert code in codes, f"reset {code}, not {codes}; {self.frames}"
        self.ping()

    def answer(self, stream):
        """(fields, body) of one stream that ends in good order."""
        fields, body, at = {}, b"", 0
        while True:
            while at == len(self.frames):
                assert self.read(), f"closed; so far {self.frames}"
            kind, flags, id_, payload = self.frames[at]
            at += 1
            assert kind != GOAWAY, f"the connection ends: {self.frames}"
            if id_ != stream:
                continue
            assert kind != RST_STREAM, f"reset: {self.frames}"
            if kind == HEADERS:
                fields.update(payload)
            if kind == DATA:
                body += payload
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                return fields, body

    def live(self, stream):
        """A request on this stream is answered as it should."""
        self.request(stream)
        fields, body = self.answer(stream)
        assert (fields[":status"], fields["grpc-status"], body) == ("200", "0", b"\0\0\0\0\x02\x08\x01")
