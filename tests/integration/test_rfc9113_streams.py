"""RFC 9113 5.1 and 5.3: which frames a stream takes in which state, and on which other it may depend."""
from h2raw import (CANCEL, CONTINUATION, DATA, EMPTY, END_HEADERS, END_STREAM, HEADERS, LIVE, PADDED, PRIORITY, PROTOCOL_ERROR,
                   RST_STREAM, STREAM_CLOSED, WINDOW_UPDATE, WITH_PRIORITY, frame, literal, number)
from test_rfc9113 import (BLOCK, after, answered, cut, done, fine, goaway, half_closed, headers, open_, parametrize, request, run_case,
                          send)

TRAILERS = frame(HEADERS, END_HEADERS | END_STREAM, 1, literal(b"x", b"y"))


# ---- streams in a certain state, more of them ----

def cut_at_its_end(c):
    """Stream 1: reset by the client, which had said all."""
    half_closed(c)
    c.send(RST_STREAM, 0, 1, number(CANCEL))
    c.ping()


def refused(c):
    """Stream 1: reset by the server, after the client had said all."""
    c.headers(1, [(b"x", b"y")], END_HEADERS | END_STREAM)
    c.reset(1, PROTOCOL_ERROR)


def refused_open(c):
    """Stream 1: reset by the server, the client is not through."""
    c.headers(1, [(b"x", b"y")])
    c.reset(1, PROTOCOL_ERROR)


# Each row: "section what", what is sent, what comes of it.
CASES = [
    # 5.1 idle
    ("5.1 DATA on an idle stream", send(frame(DATA, END_STREAM, 1, EMPTY)), goaway(PROTOCOL_ERROR)),
    ("5.1 RST_STREAM on an idle stream", send(frame(RST_STREAM, 0, 1, number(CANCEL))), goaway(PROTOCOL_ERROR)),
    ("5.1 WINDOW_UPDATE on an idle stream", send(frame(WINDOW_UPDATE, 0, 1, number(1))), goaway(PROTOCOL_ERROR)),
    ("5.1 CONTINUATION on an idle stream", send(frame(CONTINUATION, END_HEADERS, 1, BLOCK)), goaway(PROTOCOL_ERROR)),
    ("5.1 PRIORITY on an idle stream", send(frame(PRIORITY, 0, 7, bytes(5))), fine()),
    # 5.1 half-closed (remote)
    ("5.1 DATA on a half-closed stream", after(half_closed, frame(DATA, 0, 1, EMPTY)), goaway(STREAM_CLOSED)),
    ("5.1 HEADERS on a half-closed stream", after(half_closed, headers(LIVE, END_HEADERS | END_STREAM)), goaway(STREAM_CLOSED)),
    ("5.1 CONTINUATION on a half-closed stream", after(half_closed, frame(CONTINUATION, END_HEADERS, 1, BLOCK)), goaway(PROTOCOL_ERROR)),
    ("5.1 WINDOW_UPDATE on a half-closed stream", after(half_closed, frame(WINDOW_UPDATE, 0, 1, number(9))), fine(3)),
    ("5.1 PRIORITY on a half-closed stream", after(half_closed, frame(PRIORITY, 0, 1, bytes(5))), fine(3)),
    ("5.1 RST_STREAM on a half-closed stream", after(half_closed, frame(RST_STREAM, 0, 1, number(CANCEL))), fine(3)),
    ("5.1 trailers on a half-closed stream", after(half_closed, TRAILERS), goaway(STREAM_CLOSED)),
    # 5.1 closed, after the client has said its last word there. nghttpd 1.52 answers each of these so
    *((f"5.1 {what} on a stream that {how}", after(state, f), goaway(STREAM_CLOSED))
      for state, how in ((done, "ended"), (cut, "the client reset"), (cut_at_its_end, "the client ended, then reset"),
                         (refused, "the server reset after its end"))
      for what, f in (("DATA", frame(DATA, 0, 1, EMPTY)), ("the end of DATA", frame(DATA, END_STREAM, 1, EMPTY)),
                      ("empty DATA", frame(DATA, 0, 1)), ("HEADERS", headers(LIVE)),
                      ("HEADERS and END_STREAM", headers(LIVE, END_HEADERS | END_STREAM)), ("trailers", TRAILERS))),
    ("5.1 DATA on a stream that ended before another", after(done, request(stream=3), frame(DATA, 0, 1, EMPTY)), goaway(STREAM_CLOSED)),
    ("5.1 DATA on a stream that ended before four hundred others",
     after(done, *(request([(b"x", b"y")], i) for i in range(3, 803, 2)), frame(DATA, 0, 1, EMPTY)), goaway(STREAM_CLOSED)),
    ("5.1 DATA on a stream that ended before the client skipped some", after(done, request(stream=901), frame(DATA, 0, 1, EMPTY)), goaway(STREAM_CLOSED)),
    ("5.1 CONTINUATION on a stream that ended", after(done, frame(CONTINUATION, END_HEADERS, 1, BLOCK)), goaway(PROTOCOL_ERROR)),
    ("5.1 WINDOW_UPDATE on a stream that ended", after(done, frame(WINDOW_UPDATE, 0, 1, number(9))), fine(3)),
    ("5.1 RST_STREAM on a stream that ended", after(done, frame(RST_STREAM, 0, 1, number(CANCEL))), fine(3)),
    ("5.1 PRIORITY on a stream that ended", after(done, frame(PRIORITY, 0, 1, bytes(5))), fine(3)),
    ("5.1 CONTINUATION on a stream that the client reset", after(cut, frame(CONTINUATION, END_HEADERS, 1, BLOCK)), goaway(PROTOCOL_ERROR)),
    ("5.1 WINDOW_UPDATE on a stream that the client reset", after(cut, frame(WINDOW_UPDATE, 0, 1, number(9))), fine(3)),
    ("5.1 RST_STREAM on a stream that the client reset", after(cut, frame(RST_STREAM, 0, 1, number(CANCEL))), fine(3)),
    # 5.1 closed by the server alone: what was on its way is no fault of the client
    ("5.1 DATA on a stream that the server reset", after(refused_open, frame(DATA, 0, 1, EMPTY), frame(DATA, END_STREAM, 1, EMPTY)), fine(3)),
    ("5.1 trailers on a stream that the server reset", after(refused_open, frame(DATA, 0, 1, EMPTY), TRAILERS), fine(3)),
    ("5.1 DATA behind the end of what the server reset", after(refused_open, frame(DATA, END_STREAM, 1, EMPTY), frame(DATA, 0, 1, EMPTY)), goaway(STREAM_CLOSED)),
    # 5.3 priority
    ("5.3 HEADERS with a priority", send(frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, b"\0\0\0\0\xff" + BLOCK), frame(DATA, END_STREAM, 1, EMPTY)), answered()),
    ("5.3 a priority in a tree that is not there", send(frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, b"\x80\0\0\x63\x10" + BLOCK), frame(DATA, END_STREAM, 1, EMPTY)), answered()),
    # RFC 7540 5.3.1; 9113 has no tree any more, and nghttpd still answers so
    ("5.3 HEADERS that depend on themselves", send(frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, number(1) + b"\x10" + BLOCK)), goaway(PROTOCOL_ERROR)),
    ("5.3 HEADERS that depend on themselves alone",
     send(frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, number(1 | 1 << 31) + b"\x10" + BLOCK)), goaway(PROTOCOL_ERROR)),
    ("5.3 padded HEADERS that depend on themselves",
     send(frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, b"\x03" + number(1) + b"\x10" + BLOCK + bytes(3))), goaway(PROTOCOL_ERROR)),
    ("5.3 padding as long as the stream's number",
     send(frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, b"\x01\0\0\0\0\x01" + BLOCK + bytes(1)), frame(DATA, END_STREAM, 1, EMPTY)), answered()),
    ("5.3 PRIORITY of an idle stream on itself", send(frame(PRIORITY, 0, 7, number(7) + b"\x10")), goaway(PROTOCOL_ERROR)),
    ("5.3 PRIORITY of an open stream on itself", after(open_, frame(PRIORITY, 0, 1, number(1 | 1 << 31) + b"\x10")), goaway(PROTOCOL_ERROR)),
    ("5.3 PRIORITY of a half-closed stream on itself", after(half_closed, frame(PRIORITY, 0, 1, number(1) + b"\x10")), goaway(PROTOCOL_ERROR)),
    ("5.3 PRIORITY of a stream that ended on itself", after(done, frame(PRIORITY, 0, 1, number(1) + b"\x10")), goaway(PROTOCOL_ERROR)),
    ("5.3 PRIORITY twenty times over", send(*(frame(PRIORITY, 0, 2 * i + 1, number(2 * i + 3) + b"\x10") for i in range(20))), fine(99)),
]


@parametrize(CASES)
def test_case(tiny, act, expect, greeting):
    run_case(tiny, act, expect, greeting)
