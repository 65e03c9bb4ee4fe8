"""HPACK by the letter: RFC 7541. One header block a stream; a block that cannot be decoded ends the connection (4.3 of
RFC 9113), one that decodes to something else than a request the stream alone."""
import hpack
import pytest

from h2raw import (COMPRESSION_ERROR, DATA, EMPTY, END_HEADERS, END_STREAM, HEADER_TABLE_SIZE, HEADERS, LIVE, PREFACE, SETTINGS,
                   Raw, block, frame, literal, setting)

BLOCK = block(LIVE)
REST = block(LIVE[1:])  # all but the method, which a case adds in its own way
METHOD = BLOCK[:len(BLOCK) - len(REST)]


def text(data, huffman=False):
    """A string literal (5.2) of less than 127 bytes."""
    if huffman:
        data = hpack.hpack.HuffmanEncoder(hpack.huffman_constants.REQUEST_CODES,
                                          hpack.huffman_constants.REQUEST_CODES_LENGTH).encode(data)
    return bytes([len(data) | (0x80 if huffman else 0)]) + data


def integer(value, prefix, first=0):
    """5.1"""
    top = (1 << prefix) - 1
    if value < top:
        return bytes([first | value])
    out, value = [first | top], value - top
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


X = b"\x40" + text(b"x-new") + text(b"1")  # goes to the dynamic table

GOOD = [
    ("5.1 an integer of many bytes", BLOCK + b"\x00" + text(b"x") + integer(1337, 7) + b"y" * 1337),
    ("5.1 an integer with zeros behind", BLOCK + b"\x0f\x80\x80\x00" + text(b"y")),
    ("5.2 Huffman's code in a value", BLOCK + b"\x00" + text(b"x") + text(b"www.example.com", True)),
    ("5.2 Huffman's code in a name", BLOCK + b"\x00" + text(b"custom-key", True) + text(b"custom-value")),
    ("5.2 Huffman's code of every visible character", BLOCK + b"\x00" + text(b"x") + text(bytes(range(33, 127))[:60], True)
     + b"\x00" + text(b"y") + text(bytes(range(33, 127))[60:], True)),
    ("5.2 an empty value", BLOCK + b"\x00" + text(b"x") + b"\x00"),
    ("5.2 an empty value in Huffman's code", BLOCK + b"\x00" + text(b"x") + b"\x80"),
    ("6.1 indexed fields of the static table", b"\x83\x86" + block(LIVE[2:])),
    ("6.2.1 incremental indexing, a new name", BLOCK + X),
    ("6.2.1 incremental indexing, an indexed name", BLOCK + b"\x7a" + text(b"agent")),
    ("6.2.2 without indexing, a new name", BLOCK + b"\x00" + text(b"x") + text(b"y")),
    ("6.2.2 without indexing, an indexed name", BLOCK + b"\x0f\x2b" + text(b"agent")),
    ("6.2.3 never indexed, a new name", BLOCK + b"\x10" + text(b"x") + text(b"y")),
    ("6.2.3 never indexed, an indexed name", BLOCK + b"\x1f\x2b" + text(b"agent")),
    ("6.1 a field of the dynamic table", BLOCK + X + b"\xbe"),
    ("6.2 a name of the dynamic table", BLOCK + X + b"\x7e" + text(b"2") + b"\xbe\xbf"),
    ("4.2 a smaller table", integer(100, 5, 0x20) + BLOCK),
    ("4.2 a table of no bytes", b"\x20" + BLOCK + X),
    ("4.2 a table of no bytes, and back", b"\x20" + integer(4096, 5, 0x20) + BLOCK + X + b"\xbe"),
    ("4.4 a field larger than the table", integer(64, 5, 0x20) + BLOCK + X + b"\x40" + text(b"x") + text(b"y" * 60)),
]

BAD = [
    ("2.3.3 index 0", b"\x80"),
    ("2.3.3 an index behind both tables", b"\xbe"),
    ("2.3.3 a distant index", integer(100000, 7, 0x80)),
    ("2.3.3 a name behind both tables", b"\x7e" + text(b"y")),
    ("2.3.3 a name behind both tables, not to be indexed", b"\x0f\x2f" + text(b"y")),
    ("2.3.3 a name behind both tables, never indexed", b"\x1f\x2f" + text(b"y")),
    ("2.3.3 an evicted field", integer(64, 5, 0x20) + X + b"\x40" + text(b"y") + text(b"z" * 20) + b"\xbf", True),
    ("4.2 a table size behind a field", b"\x20"),
    ("4.2 a table size over the limit", integer(4097, 5, 0x20), True),
    ("4.2 a table size of 2^31", integer(1 << 31, 5, 0x20), True),
    ("4.2 a field that the smaller table has dropped", b"\x20" + X + b"\xbe", True),
    ("5.1 an integer that never ends", b"\xff" + b"\x80" * 20 + b"\x01"),
    ("5.1 an integer over 2^32", b"\xff\xff\xff\xff\xff\x7f"),
    ("5.1 an index that is cut off", b"\xff\x80"),
    ("5.1 a length that is cut off", b"\x00\x7f\x80"),
    ("5.1 a length over 2^32", b"\x00\x7f\xff\xff\xff\xff\x7f"),
    ("5.2 a name beyond the block", b"\x00\x20x"),
    ("5.2 a value beyond the block", b"\x00" + text(b"x") + b"\x20y"),
    ("5.2 no value", b"\x00" + text(b"x")),
    ("5.2 padding of 8 bits", b"\x00" + text(b"x") + b"\x82\x1f\xff"),
    ("5.2 padding of zeros", b"\x00" + text(b"x") + b"\x81\x18"),
    ("5.2 padding that is not of EOS's bits", b"\x00" + text(b"x") + b"\x81\x1e"),
    ("5.2 EOS in a string", b"\x00" + text(b"x") + b"\x84\xff\xff\xff\xff"),
    ("5.2 a symbol that is cut off", b"\x00" + text(b"x") + b"\x82\xff\xfe"),
]


@pytest.fixture
def raw(tiny):
    c = Raw(tiny)
    yield c
    c.close()


def ask(c, stream, data):
    c.write(frame(HEADERS, END_HEADERS, stream, data) + frame(DATA, END_STREAM, stream, EMPTY))


@pytest.mark.parametrize("data", [g[1] for g in GOOD], ids=[g[0] for g in GOOD])
def test_good(raw, data):
    ask(raw, 1, data)
    assert raw.answer(1)[0]["grpc-status"] == "0"
    raw.live(3)


@pytest.mark.parametrize("data,first", [(b[1], len(b) > 2) for b in BAD], ids=[b[0] for b in BAD])
def test_bad(raw, data, first):
    ask(raw, 1, data + BLOCK if first else BLOCK + data)
    raw.goaway(COMPRESSION_ERROR)


@pytest.mark.parametrize("data", [g[1] for g in GOOD], ids=[g[0] for g in GOOD])
def test_cut_off_anywhere(tiny, data):
    """In two frames it is the same; without its end it is an error or another request, and never a hang."""
    c = Raw(tiny)
    for n, at in enumerate(range(0, len(data), 17)):
        stream = 2 * n + 1
        c.write(frame(HEADERS, 0, stream, data[:at]) + frame(9, END_HEADERS, stream, data[at:]) + frame(DATA, END_STREAM, stream, EMPTY))
        assert c.answer(stream)[0]["grpc-status"] == "0"
    c.close()
    c = Raw(tiny)
    ask(c, 1, data[:-1])
    while True:
        f = c.read()
        if f is None or f[0] in (HEADERS, 3, 7):
            break
    c.close()


def test_the_dynamic_table_outlives_a_stream(raw):
    ask(raw, 1, BLOCK + X)
    raw.answer(1)
    ask(raw, 3, BLOCK + b"\xbe")
    raw.answer(3)
    ask(raw, 5, b"\x20" + BLOCK)
    raw.answer(5)
    ask(raw, 7, BLOCK + b"\xbe")
    raw.goaway(COMPRESSION_ERROR)


def test_blocks_of_refused_streams_are_decoded(raw):
    """A malformed request, and what its sender still sent before it knew of the reset: the table must follow them all."""
    raw.send(HEADERS, END_HEADERS, 1, literal(b"Upper", b"1") + BLOCK + X)
    raw.reset(1, 1)
    ask(raw, 3, BLOCK + b"\xbe")
    raw.answer(3)
    raw.send(HEADERS, END_HEADERS | END_STREAM, 1, b"\x40" + text(b"x-closed") + text(b"2"))
    ask(raw, 5, BLOCK + b"\xbe\xbf")
    assert raw.answer(5)[0]["grpc-status"] == "0"


@pytest.mark.parametrize("blocks", [
    ["828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
     "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"],
    ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"]],
    ids=["C.3", "C.4"])
def test_examples(raw, blocks):
    """Three requests of the RFC, GET http://www.example.com/: decoded, they ask for the list of routes, and for what is not there."""
    for n, data in enumerate(blocks):
        raw.send(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, bytes.fromhex(data))
        fields, body = raw.answer(2 * n + 1)
        assert fields[":status"] == ("404" if n == 2 else "200") and (n == 2 or b"/v1/classify" in body)


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 65536])
def test_our_own_table_follows_the_clients_limit(tiny, size):
    c = Raw(tiny, PREFACE + frame(SETTINGS, 0, 0, setting(HEADER_TABLE_SIZE, size)))
    c.ping()
    c.decoder.max_allowed_table_size = size
    c.decoder.header_table_size = min(size, 4096)
    for n in range(20):
        c.live(2 * n + 1)
    assert c.decoder.header_table_size <= size
    c.close()
