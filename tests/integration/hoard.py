"""Clients that make the daemon hold as much as it lets them, and what that does to its memory and to others."""
import contextlib
import gzip
import select
import struct
import threading
import time

from h2raw import (DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, LIVE, RST_STREAM, SETTINGS,
                   WATCH, WINDOW_UPDATE, Raw, block, frame)

INFER = [*LIVE[:2], (b":path", b"/inference.GRPCInferenceService/ModelInfer"), *LIVE[3:]]
PIECE = 16 << 10



def connect(daemon):
    """A client that is patient, and takes all that it is sent."""
    raw = Raw(daemon)
    raw.seconds = 600
    raw.send(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 24))
    return raw


def status_bytes(daemon, key):
    with open(f"/proc/{daemon.process.pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(key + ":"))


class Growth:
    """How much the resident memory is over what it was, at its worst moment."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.before = status_bytes(daemon, "VmRSS")
        with open(f"/proc/{daemon.process.pid}/clear_refs", "w") as f:
            f.write("5")  # the peak is what is resident now

    def __call__(self):
        return status_bytes(self.daemon, "VmHWM") - self.before


class WellBehaved:
    """One client that asks with a short pause, meanwhile; whatever is not 200 is remembered."""

    def __init__(self, daemon, body):
        self.daemon, self.body = daemon, body
        self.answers, self.failures, self.slowest, self.stop = 0, [], 0.0, False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        c = self.daemon.connect(600)
        while not self.stop:
            begun = time.monotonic()
            try:
                c.request("PUT", "/v1/classify", self.body)
                r = c.getresponse()
                text = r.read()
                if r.status != 200:
                    self.failures.append((r.status, text))
            except OSError as e:
                self.failures.append(repr(e))
                return
            self.answers += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
            time.sleep(0.01)
        c.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()

    def served(self, n):
        """Until so many more answers have come."""
        want = self.answers + n
        while self.answers < want and self.thread.is_alive():
            time.sleep(0.02)


class Partial:
    """A gRPC connection whose messages lack their last byte. Streams that are refused are counted."""

    def __init__(self, daemon, streams, size):
        self.raw = connect(daemon)
        self.window, self.first, self.refused = 65535, 65535, 0
        self.left = {1 + 2 * i: size - 1 for i in range(streams)}
        self.windows = {}
        for stream in self.left:
            self.raw.headers(stream, INFER)
            self.raw.send(DATA, 0, stream, b"\0" + struct.pack(">I", size))
        self.ids = list(self.left)

    def hear(self, kind, flags, stream, payload):
        if kind == SETTINGS:
            for at in range(0, len(payload), 6):
                key, value = struct.unpack(">HI", payload[at:at + 6])
                self.first = value if key == INITIAL_WINDOW_SIZE else self.first
        elif kind == WINDOW_UPDATE and stream == 0:
            self.window += struct.unpack(">I", payload)[0]
        elif kind == WINDOW_UPDATE:
            self.windows[stream] = self.windows.get(stream, 0) + struct.unpack(">I", payload)[0]
        elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
            self.refused += self.left.pop(stream, 0) > 0

    def room(self, stream):
        """Five bytes went for the prefix."""
        return min(self.window, self.first - 5 + self.windows.get(stream, 0), self.left[stream], PIECE)

    def run(self):
        while any(self.left.values()):
            sent = False
            for stream in list(self.left):
                n = self.room(stream) if self.left.get(stream) else 0
                if n > 0:
                    self.raw.send(DATA, 0, stream, b"x" * n)
                    self.left[stream] -= n
                    self.window -= n
                    self.windows[stream] = self.windows.get(stream, 0) - n
                    sent = True
            while not sent or select.select([self.raw.socket], [], [], 0)[0]:
                f = self.raw.read()
                if f is None:
                    self.refused += len(self.left)
                    self.left = {}
                    return
                self.hear(*f)
                sent = True
                if len(self.raw.rest) < 9 and not select.select([self.raw.socket], [], [], 0)[0]:
                    break


@contextlib.contextmanager
def together(things):
    """Runs them all at once, and closes what they opened in the end."""
    threads = [threading.Thread(target=t.run) for t in things]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    try:
        yield things
    finally:
        for t in things:
            t.raw.close()


def padded(picture, size):
    """A picture with so much behind it that it is `size` long: a few KB when it is compressed."""
    return picture + bytes(size - len(picture))


def http_bomb(picture, size):
    body = gzip.compress(padded(picture, size))
    return (f"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
            .encode() + body)


def field(number, content):
    """A member of a protobuf message that has a length."""
    size, n = b"", len(content)
    while n > 127:
        size, n = size + bytes([n & 127 | 128]), n >> 7
    return bytes([number << 3 | 2]) + size + bytes([n]) + content


def inference(model, picture):
    """ModelInferRequest with one BYTES tensor, in raw_input_contents."""
    tensor = field(1, b"input") + field(2, b"BYTES") + field(3, b"\1")
    return field(1, model.encode()) + field(5, tensor) + field(7, struct.pack("<I", len(picture)) + picture)


class Bombs:
    """A gRPC connection with calls whose messages are a few KB and inflate to `size`."""

    def __init__(self, daemon, calls, message):
        self.raw, self.calls, self.codes = connect(daemon), calls, []
        self.data = gzip.compress(message)

    def run(self):
        fields = [*INFER, (b"grpc-encoding", b"gzip")]
        for i in range(self.calls):
            self.raw.headers(1 + 2 * i, fields)
            for at in range(0, len(self.data), PIECE):
                prefix = b"\1" + struct.pack(">I", len(self.data)) if at == 0 else b""
                last = at + PIECE >= len(self.data)
                self.raw.send(DATA, END_STREAM if last else 0, 1 + 2 * i, prefix + self.data[at:at + PIECE - 5])
                if not last:
                    self.raw.send(DATA, 0, 1 + 2 * i, self.data[at + PIECE - 5:at + PIECE])
        while len(self.codes) < self.calls:
            f = self.raw.read()
            if f is None:
                return
            kind, flags, _, payload = f
            if kind == HEADERS and flags & END_STREAM:
                self.codes.append(dict(payload).get("grpc-status"))
            elif kind == RST_STREAM:
                self.codes.append("reset")


class Watchers:
    """A connection of streams that watch health; each is told once, at least."""

    def __init__(self, daemon, streams):
        self.raw, self.streams, self.told, self.refused = connect(daemon), streams, 0, 0

    def run(self):
        head = block(WATCH)
        self.raw.write(b"".join(frame(HEADERS, END_HEADERS, 1 + 2 * i, head) + frame(DATA, END_STREAM, 1 + 2 * i, bytes(5))
                                for i in range(self.streams)))
        while self.told + self.refused < self.streams:
            f = self.raw.read()
            if f is None:
                return
            self.told += f[0] == DATA
            self.refused += f[0] == RST_STREAM
