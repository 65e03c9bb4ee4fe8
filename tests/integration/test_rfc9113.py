"""HTTP/2 by the letter: RFC 9113, section by section. Each case has a connection of its own.

Where the RFC leaves a choice (5.4: a stream error may be treated as one of the connection) the case names
what this server does, so that a change of it is seen."""
import struct

import pytest

from h2raw import *  # noqa: F403
from h2raw import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, EMPTY, ENABLE_PUSH, END_HEADERS, END_STREAM,
                   ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADER_TABLE_SIZE, HEADERS,
                   INITIAL_WINDOW_SIZE, INTERNAL_ERROR, LIVE, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, NO_ERROR, PADDED,
                   PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, REFLECT, REFUSED_STREAM, RST_STREAM, SETTINGS,
                   WATCH, WINDOW_UPDATE, WITH_PRIORITY, Raw, block, frame, literal, number, setting)

BLOCK = block(LIVE)
LAST_ID = 0x7fffffff


def with_(*fields, base=LIVE):
    return [*base, *fields]


def without(name, base=LIVE):
    return [f for f in base if f[0] != name]


def change(name, value, base=LIVE):
    return [(n, value if n == name else v) for n, v in base]


def send(*frames):
    """A case that is nothing but bytes."""
    return lambda c: c.write(b"".join(frames))


# ---- what is expected ----

def goaway(*codes):
    return lambda c: c.goaway(*codes)


def reset(stream, *codes):
    def check(c):
        c.reset(stream, *codes)
        c.live(stream + 2)
    return check


def fine(stream=1):
    """The connection goes on as if nothing had been."""
    return lambda c: c.live(stream)


def closed(c):
    """Closed, with or without a word: it was not HTTP/2."""
    while c.read():
        pass


def answered(status="200", grpc="0", stream=1):
    def check(c):
        fields, _ = c.answer(stream)
        assert fields[":status"] == status
        assert grpc is None or fields["grpc-status"] == grpc
        c.live(stream + 2)
    return check


# ---- streams in a certain state ----

def half_closed(c):
    """Stream 1: the client has said all, the server has not."""
    c.request(1, WATCH)
    c.until(lambda kind, flags, stream, payload: kind == DATA and stream == 1)


def done(c):
    """Stream 1: both have."""
    c.live(1)


def cut(c):
    """Stream 1: reset by the client."""
    c.headers(1)
    c.send(RST_STREAM, 0, 1, number(CANCEL))
    c.ping()


def open_(c):
    """Stream 1: the client is not through."""
    c.headers(1)
    c.ping()


def after(state, *frames):
    def run(c):
        state(c)
        c.write(b"".join(frames))
    return run


def headers(fields, flags=END_HEADERS, stream=1):
    return frame(HEADERS, flags, stream, block(fields))


def request(fields=LIVE, stream=1, body=EMPTY):
    return headers(fields, stream=stream) + frame(DATA, END_STREAM, stream, body)


def in_block(*frames):
    """Between the two halves of a header block."""
    return send(frame(HEADERS, 0, 1, BLOCK[:20]), *frames, frame(CONTINUATION, END_HEADERS, 1, BLOCK[20:]))


def pieces(n, stream=1):
    """A request whose header block comes in n frames."""
    size = -(-len(BLOCK) // n)
    parts = [BLOCK[i * size:(i + 1) * size] for i in range(n)]
    out = frame(HEADERS, 0, stream, parts[0])
    for i, part in enumerate(parts[1:], 2):
        out += frame(CONTINUATION, END_HEADERS if i == n else 0, stream, part)
    return out + frame(DATA, END_STREAM, stream, EMPTY)


def malformed(fields):
    return send(request(fields)), reset(1, PROTOCOL_ERROR)


# Each row: "section what", what is sent, what comes of it.
CASES = [
    # 3.4 the preface
    ("3.4 another word in the preface", None, closed, PREFACE.replace(b"SM", b"XX") + frame(SETTINGS)),
    ("3.4 HTTP/1.1", None, closed, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("3.4 no SETTINGS behind the preface", None, goaway(PROTOCOL_ERROR), PREFACE + frame(PING, 0, 0, bytes(8))),
    ("3.4 an acknowledgement behind the preface", None, goaway(PROTOCOL_ERROR), PREFACE + frame(SETTINGS, ACK)),
    ("3.4 a request in the first bytes", None, answered(), PREFACE + frame(SETTINGS) + request()),
    # 4.1 frames
    ("4.1 a frame of unknown type", send(frame(0x16, 0, 0, b"12345678")), fine()),
    ("4.1 a frame of unknown type on an idle stream", send(frame(0x16, 0xff, 1, b"1")), fine()),
    ("4.1 a frame of unknown type on an open stream",
     send(headers(LIVE), frame(0xee, 0, 1, b"x"), frame(DATA, END_STREAM, 1, EMPTY)), answered()),
    ("4.1 unknown flags on PING", send(frame(PING, 0xfe, 0, bytes(8))), fine()),
    ("4.1 unknown flags on DATA", send(headers(LIVE), frame(DATA, 0xd7 & ~PADDED, 1, EMPTY)), answered()),
    ("4.1 unknown flags on HEADERS", send(headers(LIVE, END_HEADERS | 0x52 & ~PADDED), frame(DATA, END_STREAM, 1, EMPTY)), answered()),
    ("4.1 the reserved bit", send(frame(HEADERS, END_HEADERS, 1 | 1 << 31, BLOCK), frame(DATA, END_STREAM, 1 | 1 << 31, EMPTY)), answered()),
    # 4.2 sizes
    ("4.2 DATA of 16384", send(headers(LIVE), frame(DATA, END_STREAM, 1, b"\0\0\0\x3f\xfb" + bytes(16379))), answered()),
    ("4.2 DATA of 16385", send(headers(LIVE), frame(DATA, END_STREAM, 1, bytes(16385))), goaway(FRAME_SIZE_ERROR)),
    ("4.2 HEADERS of 16385", send(frame(HEADERS, END_HEADERS, 1, bytes(16385))), goaway(FRAME_SIZE_ERROR)),
    ("4.2 CONTINUATION of 16385", send(frame(HEADERS, 0, 1, BLOCK), frame(CONTINUATION, END_HEADERS, 1, bytes(16385))),
     goaway(FRAME_SIZE_ERROR)),
    ("4.2 SETTINGS of 16386", send(frame(SETTINGS, 0, 0, bytes(16386))), goaway(FRAME_SIZE_ERROR)),
    ("4.2 an unknown frame of 16384", send(frame(0x20, 0, 0, bytes(16384))), fine()),
    ("4.2 an unknown frame of 16385", send(frame(0x20, 0, 0, bytes(16385))), goaway(FRAME_SIZE_ERROR)),
    ("4.2 a frame of 16777215", send(frame(PING, 0, 0, b"", length=0xffffff)), goaway(FRAME_SIZE_ERROR)),
    # 4.3 header blocks
    ("4.3 a block that cannot be decoded", send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff")), goaway(COMPRESSION_ERROR)),
    ("4.3 an empty block", send(frame(HEADERS, END_HEADERS, 1)), reset(1, PROTOCOL_ERROR)),
    ("4.3 DATA in a block", in_block(frame(DATA, 0, 1, b"x")), goaway(PROTOCOL_ERROR)),
    ("4.3 HEADERS in a block", in_block(headers(LIVE)), goaway(PROTOCOL_ERROR)),
    ("4.3 HEADERS of another stream in a block", in_block(headers(LIVE, stream=3)), goaway(PROTOCOL_ERROR)),
    ("4.3 PRIORITY in a block", in_block(frame(PRIORITY, 0, 1, bytes(5))), goaway(PROTOCOL_ERROR)),
    ("4.3 RST_STREAM in a block", in_block(frame(RST_STREAM, 0, 1, number(CANCEL))), goaway(PROTOCOL_ERROR)),
    ("4.3 SETTINGS in a block", in_block(frame(SETTINGS)), goaway(PROTOCOL_ERROR)),
    ("4.3 PING in a block", in_block(frame(PING, 0, 0, bytes(8))), goaway(PROTOCOL_ERROR)),
    ("4.3 WINDOW_UPDATE in a block", in_block(frame(WINDOW_UPDATE, 0, 0, number(1))), goaway(PROTOCOL_ERROR)),
    ("4.3 GOAWAY in a block", in_block(frame(GOAWAY, 0, 0, bytes(8))), goaway(PROTOCOL_ERROR)),
    ("4.3 an unknown frame in a block", in_block(frame(0x20, 0, 1, b"x")), goaway(PROTOCOL_ERROR)),
    # 5.1.1 identifiers
    ("5.1.1 an even stream", send(headers(LIVE, stream=2)), goaway(PROTOCOL_ERROR)),
    ("5.1.1 a stream below the last", after(lambda c: c.live(5), headers(LIVE, stream=3)), goaway(PROTOCOL_ERROR)),
    ("5.1.1 a gap of streams", after(lambda c: c.live(1)), fine(1001)),
    ("5.1.1 DATA on a stream that was skipped", after(lambda c: c.live(5), frame(DATA, END_STREAM, 3, EMPTY)), fine(7)),
    ("5.1.1 the last stream there is", send(request(stream=LAST_ID)), lambda c: c.answer(LAST_ID) and c.ping()),
    ("RFC 9218 7.1 PRIORITY_UPDATE", send(frame(0x10, 0, 0, number(1) + b"u=3")), fine()),
    # 6.1 DATA
    ("6.1 DATA on stream 0", send(frame(DATA, 0, 0, b"x")), goaway(PROTOCOL_ERROR)),
    ("6.1 padding", send(headers(LIVE), frame(DATA, END_STREAM | PADDED, 1, b"\x09" + EMPTY + bytes(9))), answered()),
    ("6.1 padding of no bytes", send(headers(LIVE), frame(DATA, END_STREAM | PADDED, 1, b"\0" + EMPTY)), answered()),
    ("6.1 nothing but padding", send(headers(LIVE), frame(DATA, PADDED, 1, b"\xff" + bytes(255)), frame(DATA, END_STREAM, 1, EMPTY)), answered()),
    ("6.1 padding as long as the frame", send(headers(LIVE), frame(DATA, PADDED, 1, b"\x06" + EMPTY)), goaway(PROTOCOL_ERROR)),
    ("6.1 padding longer than the frame", send(headers(LIVE), frame(DATA, PADDED, 1, b"\xff" + EMPTY)), goaway(PROTOCOL_ERROR)),
    ("6.1 padding without its length", send(headers(LIVE), frame(DATA, PADDED, 1)), goaway(PROTOCOL_ERROR)),
    ("6.1 empty DATA", send(headers(LIVE), frame(DATA, 0, 1), frame(DATA, 0, 1, EMPTY), frame(DATA, END_STREAM, 1)), answered()),
    # 6.2 HEADERS
    ("6.2 HEADERS on stream 0", send(headers(LIVE, stream=0)), goaway(PROTOCOL_ERROR)),
    ("6.2 padding", send(frame(HEADERS, END_HEADERS | PADDED, 1, b"\x20" + BLOCK + bytes(32)), frame(DATA, END_STREAM, 1, EMPTY)), answered()),
    ("6.2 padding and priority", send(frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, b"\x20\0\0\0\0\x01" + BLOCK + bytes(32)), frame(DATA, END_STREAM, 1, EMPTY)), answered()),
    ("6.2 padding longer than the frame", send(frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + BLOCK)), goaway(PROTOCOL_ERROR)),
    ("6.2 padding without its length", send(frame(HEADERS, END_HEADERS | PADDED, 1)), goaway(PROTOCOL_ERROR)),
    ("6.2 half a priority", send(frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, b"\0\0\0")), goaway(FRAME_SIZE_ERROR)),
    # 6.3 PRIORITY
    ("6.3 PRIORITY on stream 0", send(frame(PRIORITY, 0, 0, bytes(5))), goaway(PROTOCOL_ERROR)),
    ("6.3 PRIORITY of 4 bytes", send(frame(PRIORITY, 0, 1, bytes(4))), goaway(FRAME_SIZE_ERROR)),
    ("6.3 PRIORITY of 6 bytes", send(frame(PRIORITY, 0, 1, bytes(6))), goaway(FRAME_SIZE_ERROR)),
    # 6.4 RST_STREAM
    ("6.4 RST_STREAM on stream 0", send(frame(RST_STREAM, 0, 0, number(CANCEL))), goaway(PROTOCOL_ERROR)),
    ("6.4 RST_STREAM of 3 bytes", after(open_, frame(RST_STREAM, 0, 1, bytes(3))), goaway(FRAME_SIZE_ERROR)),
    ("6.4 RST_STREAM of 5 bytes", after(open_, frame(RST_STREAM, 0, 1, bytes(5))), goaway(FRAME_SIZE_ERROR)),
    ("6.4 an unknown code", after(open_, frame(RST_STREAM, 0, 1, number(0xdeadbeef))), fine(3)),
    # 6.5 SETTINGS
    ("6.5 an acknowledgement with a payload", send(frame(SETTINGS, ACK, 0, setting(1, 4096))), goaway(FRAME_SIZE_ERROR)),
    ("6.5 SETTINGS on a stream", send(frame(SETTINGS, 0, 1)), goaway(PROTOCOL_ERROR)),
    ("6.5 SETTINGS of 5 bytes", send(frame(SETTINGS, 0, 0, bytes(5))), goaway(FRAME_SIZE_ERROR)),
    ("6.5.2 ENABLE_PUSH 2", send(frame(SETTINGS, 0, 0, setting(ENABLE_PUSH, 2))), goaway(PROTOCOL_ERROR)),
    ("6.5.2 ENABLE_PUSH 1", send(frame(SETTINGS, 0, 0, setting(ENABLE_PUSH, 1))), fine()),
    ("6.5.2 INITIAL_WINDOW_SIZE 2^31", send(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 1 << 31))), goaway(FLOW_CONTROL_ERROR)),
    ("6.5.2 INITIAL_WINDOW_SIZE 2^31-1", send(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, LAST_ID))), fine()),
    ("6.5.2 MAX_FRAME_SIZE 16383", send(frame(SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, 16383))), goaway(PROTOCOL_ERROR)),
    ("6.5.2 MAX_FRAME_SIZE 2^24", send(frame(SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, 1 << 24))), goaway(PROTOCOL_ERROR)),
    ("6.5.2 MAX_FRAME_SIZE 2^24-1", send(frame(SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, (1 << 24) - 1))), fine()),
    ("6.5.2 HEADER_TABLE_SIZE 0", send(frame(SETTINGS, 0, 0, setting(HEADER_TABLE_SIZE, 0))), fine()),
    ("6.5.2 HEADER_TABLE_SIZE 2^32-1", send(frame(SETTINGS, 0, 0, setting(HEADER_TABLE_SIZE, 0xffffffff))), fine()),
    ("6.5.2 MAX_HEADER_LIST_SIZE", send(frame(SETTINGS, 0, 0, setting(MAX_HEADER_LIST_SIZE, 65536))), fine()),
    ("6.5.2 MAX_CONCURRENT_STREAMS 0", send(frame(SETTINGS, 0, 0, setting(MAX_CONCURRENT_STREAMS, 0))), fine()),
    ("6.5.2 an unknown setting", send(frame(SETTINGS, 0, 0, setting(0xbad, 1))), fine()),
    ("6.5.2 thirty settings", send(frame(SETTINGS, 0, 0, b"".join(setting(0x100 + i, i) for i in range(30)))), fine()),
    ("6.5.2 the same setting twice: the last counts", send(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 0) + setting(INITIAL_WINDOW_SIZE, 65535))), fine()),
    ("RFC 9218 2.1 NO_RFC7540_PRIORITIES 2", None, goaway(PROTOCOL_ERROR), PREFACE + frame(SETTINGS, 0, 0, setting(9, 2))),
    ("RFC 9218 2.1 NO_RFC7540_PRIORITIES 1", None, fine(), PREFACE + frame(SETTINGS, 0, 0, setting(9, 1))),
    # 6.6 PUSH_PROMISE
    ("6.6 PUSH_PROMISE of a client", after(open_, frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + BLOCK)), goaway(PROTOCOL_ERROR)),
    # 6.7 PING
    ("6.7 PING on a stream", send(frame(PING, 0, 1, bytes(8))), goaway(PROTOCOL_ERROR)),
    ("6.7 PING of 7 bytes", send(frame(PING, 0, 0, bytes(7))), goaway(FRAME_SIZE_ERROR)),
    ("6.7 PING of 9 bytes", send(frame(PING, 0, 0, bytes(9))), goaway(FRAME_SIZE_ERROR)),
    ("6.7 an answer to no PING", send(frame(PING, ACK, 0, bytes(8))), fine()),
    # 6.8 GOAWAY
    ("6.8 GOAWAY on a stream", send(frame(GOAWAY, 0, 1, bytes(8))), goaway(PROTOCOL_ERROR)),
    ("6.8 GOAWAY of 7 bytes", send(frame(GOAWAY, 0, 0, bytes(7))), goaway(FRAME_SIZE_ERROR)),
    ("6.8 GOAWAY with a reason", send(frame(GOAWAY, 0, 0, bytes(8) + b"good bye")), closed),
    ("6.8 GOAWAY with a stream open", after(open_, frame(GOAWAY, 0, 0, bytes(8)), frame(DATA, END_STREAM, 1, EMPTY)),
     lambda c: c.answer(1)[0]["grpc-status"] == "0" and closed(c)),
    # 6.9 windows
    ("6.9 an increment of 0 for the connection", send(frame(WINDOW_UPDATE, 0, 0, number(0))), goaway(PROTOCOL_ERROR)),
    ("6.9 an increment of 0 for a stream", after(open_, frame(WINDOW_UPDATE, 0, 1, number(0))), goaway(PROTOCOL_ERROR)),
    ("6.9 WINDOW_UPDATE of 3 bytes", send(frame(WINDOW_UPDATE, 0, 0, bytes(3))), goaway(FRAME_SIZE_ERROR)),
    ("6.9 WINDOW_UPDATE of 5 bytes", send(frame(WINDOW_UPDATE, 0, 0, bytes(5))), goaway(FRAME_SIZE_ERROR)),
    ("6.9.1 the connection's window over 2^31-1", send(frame(WINDOW_UPDATE, 0, 0, number(LAST_ID))), goaway(FLOW_CONTROL_ERROR)),
    ("6.9.1 the connection's window of 2^31-1", send(frame(WINDOW_UPDATE, 0, 0, number(LAST_ID - 65535))), fine()),
    ("6.9.1 a stream's window over 2^31-1", after(open_, frame(WINDOW_UPDATE, 0, 1, number(LAST_ID))), goaway(FLOW_CONTROL_ERROR)),
    ("6.9.2 a stream's window over 2^31-1 by SETTINGS",
     after(half_closed, frame(WINDOW_UPDATE, 0, 1, number(LAST_ID - 65535)), frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 131072))),
     goaway(FLOW_CONTROL_ERROR)),
    # 6.10 CONTINUATION
    ("6.10 a block in two frames", send(pieces(2)), answered()),
    ("6.10 a block in eight frames", send(pieces(8)), answered()),
    ("6.10 a frame of no bytes in a block", send(frame(HEADERS, 0, 1, BLOCK), frame(CONTINUATION, 0, 1), frame(CONTINUATION, END_HEADERS, 1), frame(DATA, END_STREAM, 1, EMPTY)), answered()),
    ("6.10 CONTINUATION on stream 0", send(frame(HEADERS, 0, 1, BLOCK), frame(CONTINUATION, END_HEADERS, 0, b"")), goaway(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION of another stream", send(frame(HEADERS, 0, 1, BLOCK), frame(CONTINUATION, END_HEADERS, 3, b"")), goaway(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION behind the end of the block", send(headers(LIVE), frame(CONTINUATION, END_HEADERS, 1, b"")), goaway(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION behind DATA", after(open_, frame(DATA, 0, 1, EMPTY), frame(CONTINUATION, END_HEADERS, 1, b"")), goaway(PROTOCOL_ERROR)),
    # 8.1 messages
    ("8.1 trailers", send(headers(LIVE), frame(DATA, 0, 1, EMPTY), headers([(b"x-sum", b"1")], END_HEADERS | END_STREAM)), answered()),
    ("8.1 trailers that do not end the stream", send(headers(LIVE), frame(DATA, 0, 1, EMPTY), headers([(b"x-sum", b"1")])), reset(1, PROTOCOL_ERROR)),
    ("8.1 a pseudo-header in trailers", send(headers(LIVE), frame(DATA, 0, 1, EMPTY), headers([(b":path", b"/")], END_HEADERS | END_STREAM)), reset(1, PROTOCOL_ERROR)),
    ("8.1 no body", send(headers(LIVE, END_HEADERS | END_STREAM)), answered(grpc="13")),
    ("8.1.1 the length is right", send(request(with_((b"content-length", b"5")))), answered()),
    ("8.1.1 less than the length", send(request(with_((b"content-length", b"6")))), reset(1, PROTOCOL_ERROR)),
    ("8.1.1 more than the length", send(request(with_((b"content-length", b"4")))), reset(1, PROTOCOL_ERROR)),
    ("8.1.1 a length, but no body", send(headers(with_((b"content-length", b"5")), END_HEADERS | END_STREAM)), reset(1, PROTOCOL_ERROR)),
    ("8.1.1 two lengths", *malformed(with_((b"content-length", b"5"), (b"content-length", b"5")))),
    ("8.1.1 a length that is no number", *malformed(with_((b"content-length", b"five")))),
    ("8.1.1 a negative length", *malformed(with_((b"content-length", b"-5")))),
    # 8.2 fields
    ("8.2.1 an upper-case name", *malformed(with_((b"X-A", b"1")))),
    ("8.2.1 a space in a name", *malformed(with_((b"x a", b"1")))),
    ("8.2.1 a colon in a name", *malformed(with_((b"x:a", b"1")))),
    ("8.2.1 a control character in a name", *malformed(with_((b"x\x01a", b"1")))),
    ("8.2.1 a byte over 127 in a name", *malformed(with_((b"x\x80a", b"1")))),
    ("8.2.1 an empty name", *malformed(with_((b"", b"1")))),
    ("8.2.1 NUL in a value", *malformed(with_((b"x-a", b"1\0002")))),
    ("8.2.1 a line feed in a value", *malformed(with_((b"x-a", b"1\n2")))),
    ("8.2.1 a carriage return in a value", *malformed(with_((b"x-a", b"1\r2")))),
    ("8.2.1 a space before a value", *malformed(with_((b"x-a", b" 1")))),
    ("8.2.1 a tab behind a value", *malformed(with_((b"x-a", b"1\t")))),
    ("8.2.1 a byte over 127 in a value", send(request(with_((b"x-a", b"\xc3\xbc")))), answered()),
    ("8.2.2 connection", *malformed(with_((b"connection", b"keep-alive")))),
    ("8.2.2 proxy-connection", *malformed(with_((b"proxy-connection", b"keep-alive")))),
    ("8.2.2 keep-alive", *malformed(with_((b"keep-alive", b"timeout=5")))),
    ("8.2.2 transfer-encoding", *malformed(with_((b"transfer-encoding", b"chunked")))),
    ("8.2.2 upgrade", *malformed(with_((b"upgrade", b"h2c")))),
    ("8.2.2 te other than trailers", *malformed(change(b"te", b"gzip"))),
    ("8.2.2 no te", send(request(without(b"te"))), answered()),
    ("8.2.3 crumbs of a cookie", send(request(with_((b"cookie", b"a=1"), (b"cookie", b"b=2")))), answered()),
    # 8.3 pseudo-headers
    ("8.3 an unknown pseudo-header", *malformed([(b":x", b"1"), *LIVE])),
    ("8.3 :status in a request", *malformed([(b":status", b"200"), *LIVE])),
    ("8.3 a pseudo-header behind a field", *malformed([*LIVE[:2], *LIVE[3:], LIVE[2]])),
    ("8.3.1 no :method", *malformed(without(b":method"))),
    ("8.3.1 no :scheme", *malformed(without(b":scheme"))),
    ("8.3.1 no :path", *malformed(without(b":path"))),
    ("8.3.1 no :authority", send(request(without(b":authority") + [(b"host", b"x")])), answered()),
    ("8.3.1 two :method", *malformed([LIVE[0], *LIVE])),
    ("8.3.1 two :scheme", *malformed([LIVE[1], *LIVE])),
    ("8.3.1 two :path", *malformed([LIVE[2], *LIVE])),
    ("8.3.1 two :authority", *malformed([LIVE[3], *LIVE])),
    ("8.3.1 an empty :path", *malformed(change(b":path", b""))),
    ("8.3.1 a :path without a slash", *malformed(change(b":path", b"x"))),
    ("8.3.1 * is for OPTIONS", *malformed(change(b":path", b"*"))),
    ("8.3.1 a :method with a space", *malformed(change(b":method", b"PO ST"))),
    ("8.3.1 a :scheme that is none", *malformed(change(b":scheme", b"ht tp"))),
    ("8.3.1 an :authority with a space", *malformed(change(b":authority", b"a b"))),
    ("8.3.1 :authority and host differ", *malformed(with_((b"host", b"elsewhere")))),
    ("8.3.1 :authority and host are the same", send(request(with_((b"host", b"LOCALHOST")))), answered()),
    ("8.5 CONNECT", send(headers([(b":method", b"CONNECT"), (b":authority", b"x:1")])), answered("405", None)),
    ("8.5 CONNECT with a path", *malformed(change(b":method", b"CONNECT"))),
]


def parametrize(cases):
    return pytest.mark.parametrize("act,expect,greeting", [(c[1], c[2], (c + (None,))[3]) for c in cases], ids=[c[0] for c in cases])


def run_case(daemon, act, expect, greeting):
    c = Raw(daemon, greeting) if greeting else Raw(daemon)
    try:
        if act:
            act(c)
        expect(c)
    finally:
        c.close()


@parametrize(CASES)
def test_case(tiny, act, expect, greeting):
    run_case(tiny, act, expect, greeting)


# ---- what takes more than one exchange ----

@pytest.fixture
def raw(tiny):
    connections = []

    def make(*settings):
        connections.append(Raw(tiny, PREFACE + frame(SETTINGS, 0, 0, b"".join(setting(*s) for s in settings))))
        return connections[-1]

    yield make
    for c in connections:
        c.close()


def data_of(c, stream):
    return b"".join(f[3] for f in c.frames if f[0] == DATA and f[2] == stream)


def test_3_4_the_server_begins_with_settings(raw):
    kind, flags, stream, payload = raw().read()
    assert (kind, flags, stream, len(payload) % 6) == (SETTINGS, 0, 0, 0)
    settings = dict(struct.unpack(">HI", payload[i:i + 6]) for i in range(0, len(payload), 6))
    assert settings[MAX_CONCURRENT_STREAMS] == 256 and settings[MAX_HEADER_LIST_SIZE] == 32768
    assert settings[9] == 1 and ENABLE_PUSH not in settings
    assert 65535 < settings[INITIAL_WINDOW_SIZE] < 1 << 31


def test_3_4_everything_in_single_bytes(raw, tiny):
    c = Raw(tiny, b"")
    for byte in PREFACE + frame(SETTINGS) + request():
        c.write(bytes([byte]))
    assert c.answer(1)[0]["grpc-status"] == "0"
    c.close()


def test_5_1_2_one_stream_too_many_is_refused(raw):
    c = raw()
    c.write(b"".join(headers(WATCH, stream=2 * i + 1) for i in range(257)))
    c.reset(513, REFUSED_STREAM)
    c.send(RST_STREAM, 0, 1, number(CANCEL))
    c.live(515)


def test_5_1_a_reset_stream_hears_no_more(raw):
    c = raw()
    half_closed(c)
    c.send(RST_STREAM, 0, 1, number(CANCEL))
    c.settle()
    before = len(c.frames)
    c.settle()
    assert all(f[2] != 1 for f in c.frames[before:])


def test_5_4_1_goaway_names_the_last_stream(raw):
    c = raw()
    c.live(41)
    c.send(PING, 0, 1, bytes(8))
    c.goaway(PROTOCOL_ERROR)
    assert c.frames[-1][3][:4] == number(41)


def test_6_5_3_every_settings_frame_is_acknowledged(raw):
    c = raw()
    for i in range(50):
        c.send(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 1000 + i))
    c.settle()
    assert sum(f[:3] == (SETTINGS, ACK, 0) and f[3] == b"" for f in c.frames) == 51


def test_6_5_3_settings_count_from_their_place(raw):
    """The windows of the first stream and of the second differ."""
    c = raw()
    c.write(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 0)) + request()
            + frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 65535)))
    c.answer(1)
    c.live(3)


def test_6_7_a_ping_comes_back_as_it_is(raw):
    c = raw()
    c.send(PING, 0, 0, b"\x00\xff1234\x80\x7f")
    assert c.until(lambda kind, flags, stream, payload: kind == PING) == (PING, ACK, 0, b"\x00\xff1234\x80\x7f")


def test_6_9_nothing_is_sent_into_a_closed_window(raw):
    c = raw((INITIAL_WINDOW_SIZE, 0))
    c.request(1)
    c.until(lambda kind, flags, stream, payload: kind == HEADERS and stream == 1)
    c.settle()
    assert not data_of(c, 1)
    c.send(WINDOW_UPDATE, 0, 1, number(3))
    c.settle()
    assert data_of(c, 1) == b"\0\0\0"
    c.send(WINDOW_UPDATE, 0, 1, number(1))
    c.settle()
    assert data_of(c, 1) == b"\0\0\0\0"
    c.send(WINDOW_UPDATE, 0, 1, number(100))
    assert c.answer(1)[0]["grpc-status"] == "0" and data_of(c, 1) == b"\0\0\0\0\2\x08\x01"


def test_6_9_2_a_window_can_become_negative(raw):
    c = raw((INITIAL_WINDOW_SIZE, 5))
    c.request(1)
    c.until(lambda kind, flags, stream, payload: kind == DATA)
    c.send(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 0))  # the window is -5 now
    c.send(WINDOW_UPDATE, 0, 1, number(5))
    c.settle()
    assert data_of(c, 1) == b"\0\0\0\0\2"
    c.send(WINDOW_UPDATE, 0, 1, number(1))
    c.settle()
    assert data_of(c, 1) == b"\0\0\0\0\2\x08"
    c.send(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 1))
    c.answer(1)


def test_6_9_2_a_larger_window_counts_for_open_streams(raw):
    c = raw((INITIAL_WINDOW_SIZE, 0))
    c.request(1)
    c.request(3)
    c.settle()
    c.send(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 100))
    c.answer(1)
    c.answer(3)


def test_6_9_the_connection_has_a_window_of_its_own(raw):
    """Reflection's answers fill the 65535 bytes of the connection; another stream waits with them."""
    c = raw((INITIAL_WINDOW_SIZE, 1 << 20))
    name = b"inference.GRPCInferenceService"
    question = b"\x22" + bytes([len(name)]) + name
    c.headers(1, REFLECT)
    c.send(DATA, 0, 1, (b"\0" + number(len(question)) + question) * 40)
    c.request(3)
    total = 0
    while total < 65535:
        f = c.until(lambda kind, flags, stream, payload: kind == DATA)
        total += len(f[3])
    c.settle()
    assert total == 65535 and not data_of(c, 3)
    c.send(WINDOW_UPDATE, 0, 0, number(1 << 20))
    c.answer(3)


def ignore_windows(c, stream):
    """Questions whose answers nobody reads, until the server takes no more of them."""
    name = b"inference.GRPCInferenceService"
    question = b"\x22" + bytes([len(name)]) + name
    c.headers(stream, REFLECT)
    message = b"\0" + number(len(question)) + question
    c.send(DATA, 0, stream, message * 100)
    c.write(frame(DATA, 0, stream, bytes(16384)) * 70)


def test_6_9_1_more_than_the_window_allows(raw):
    """On a stream that is not read: the connection's window is kept open by the server, whatever streams do."""
    c = raw((INITIAL_WINDOW_SIZE, 0))
    ignore_windows(c, 1)
    c.goaway(FLOW_CONTROL_ERROR)


def test_4_2_frames_fit_the_clients_limit(raw):
    """No frame over 16384, whatever it says that it could take."""
    c = raw((MAX_FRAME_SIZE, 1 << 20), (INITIAL_WINDOW_SIZE, 1 << 20))
    name = b"inference.GRPCInferenceService"
    question = b"\x22" + bytes([len(name)]) + name
    c.headers(1, REFLECT)
    c.send(DATA, END_STREAM, 1, (b"\0" + number(len(question)) + question) * 4)
    c.answer(1)
    assert max(len(f[3]) for f in c.frames if f[0] == DATA) <= 16384


def test_8_1_an_answer_before_the_end_of_the_request(raw):
    """The client is told to stop, by NO_ERROR, once it has all of the answer."""
    c = raw()
    c.headers(1, change(b":method", b"GET"))
    c.answer(1)
    c.reset(1, NO_ERROR)
    c.live(3)


def test_8_1_streams_do_not_wait_for_each_other(raw):
    c = raw()
    c.headers(1)
    c.live(3)
    c.send(DATA, END_STREAM, 1, EMPTY)
    c.answer(1)


def test_padding_counts_for_the_window(raw):
    """A megabyte of it would close the window if nobody gave it back."""
    c = raw()
    c.headers(1)
    for _ in range(40):
        c.write(frame(DATA, PADDED, 1, b"\xff" + bytes(255)) * 200)
        c.settle()
    c.send(DATA, END_STREAM, 1, EMPTY)
    c.answer(1)


# ---- 10.5 what costs the server more than the client ----

FLOODS = {
    "PING": frame(PING, 0, 0, bytes(8)) * 30_000,
    "SETTINGS": frame(SETTINGS) * 30_000,
    "SETTINGS with entries": frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 9) * 30) * 20_000,
    "PRIORITY": frame(PRIORITY, 0, 3, bytes(5)) * 40_000,
    "WINDOW_UPDATE": frame(WINDOW_UPDATE, 0, 0, number(1)) * 40_000,
    "empty DATA": headers(LIVE) + frame(DATA, 0, 1) * 40_000,
    "unknown frames": frame(0x33) * 40_000,
    "CONTINUATION": frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * 40_000,
    "CONTINUATION with fields": frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1, literal(b"x", b"y") * 200) * 400,
    "rapid reset": b"".join(headers(LIVE, stream=i) + frame(RST_STREAM, 0, i, number(CANCEL)) for i in range(1, 20_001, 2)),
    "resets that the server is made to send": b"".join(
        headers(LIVE, stream=i) + headers([(b"x", b"y")], stream=i) for i in range(1, 20_001, 2)),
    "streams over the limit": b"".join(headers(WATCH, stream=i) for i in range(1, 20_001, 2)),
    "malformed requests": b"".join(headers([(b"x", b"y")], stream=i) for i in range(1, 20_001, 2)),
}


@pytest.mark.parametrize("what", FLOODS)
def test_10_5_flood(raw, tiny, what):
    c = raw()
    c.socket.settimeout(60)
    c.write(FLOODS[what])
    closed(c)
    codes = {f[3][4:8] for f in c.frames if f[0] == GOAWAY}
    assert codes <= {number(ENHANCE_YOUR_CALM), number(INTERNAL_ERROR)}  # none where nobody was left to hear it
    raw().live(1)


@pytest.mark.parametrize("fields", [[(b"a%d" % i, b"x" * 100) for i in range(300)], [(b"cookie", b"a=" + b"x" * 110)] * 300])
def test_10_5_1_a_list_over_the_limit(raw, fields):
    c = raw()
    blocks = BLOCK + block(fields)
    c.send(HEADERS, 0, 1, blocks[:16000])
    for at in range(16000, len(blocks), 16000):
        last = at + 16000 >= len(blocks)
        c.send(CONTINUATION, END_HEADERS if last else 0, 1, blocks[at:at + 16000])
    c.send(DATA, END_STREAM, 1, EMPTY)
    assert c.answer(1)[0][":status"] == "431"
    c.live(3)
