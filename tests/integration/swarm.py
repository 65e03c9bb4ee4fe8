"""Many keep-alive clients on one thread, each of which asks again until an answer says that it was the last. Some may pause in between.

A connection may be closed while nothing is asked by it, and who asks at that very moment has `raced`: HTTP/1.1 cannot tell the two apart,
which is why clients repeat such requests. Whatever else remains without an answer is `lost`."""
import random
import selectors
import socket
import time

HEAD_END = b"\r\n\r\n"


class Client:
    def __init__(self, port, message, pause):
        self.message, self.seen, self.pause = message, b"", pause
        self.answers, self.statuses = 0, set()
        self.asks, self.due = False, 0
        self.told, self.lost, self.raced = False, "", False
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setblocking(False)

    def ask(self):
        """A message is short: the socket takes it whole."""
        self.seen, self.asks = b"", True
        try:
            self.socket.sendall(self.message)
        except OSError as e:
            self.end(repr(e))

    def end(self, why):
        """The connection is gone."""
        if self.asks and self.pause and not self.seen:
            self.raced = True
        elif self.asks:
            self.lost = why
        else:
            self.told = True
        return True

    def length(self, head):
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return int(line.split(b":")[1])
        return 0

    def hear(self):
        """True when it has nothing more to do."""
        try:
            data = self.socket.recv(65536)
        except OSError as e:
            return self.end(repr(e))
        if not data:
            return self.end(f"closed after {len(self.seen)} bytes of answer {self.answers + 1}")
        self.seen += data
        head, end, rest = self.seen.partition(HEAD_END)
        if not end or len(rest) < self.length(head):
            return False
        self.answers += 1
        self.asks = False
        self.statuses.add(int(head.split()[1]))
        self.told = b"connection: close" in head.lower()
        self.due = time.monotonic() + random.uniform(0, self.pause)
        if not self.told and not self.pause:
            self.ask()
        return self.told or bool(self.lost)


class Swarm:
    def __init__(self, port, n, message, pause=0):
        """Every other client pauses up to `pause` seconds before it asks again."""
        self.clients = [Client(port, message, pause * (i % 2)) for i in range(n)]
        self.left = set()
        self.selector = selectors.DefaultSelector()
        for c in self.clients:
            self.selector.register(c.socket, selectors.EVENT_READ, c)
            self.left.add(c)
            c.ask()

    def turn(self):
        for key, _ in self.selector.select(0.01):
            if key.data.hear():
                self.selector.unregister(key.fileobj)
                self.left.discard(key.data)
        now = time.monotonic()
        for c in self.left:
            if c.pause and not c.asks and c.due <= now:
                c.ask()

    def until(self, done, seconds):
        """False if it takes longer."""
        end = time.monotonic() + seconds
        while self.left and not done():
            if time.monotonic() > end:
                return False
            self.turn()
        return True

    def answers(self):
        return sum(c.answers for c in self.clients)

    def lost(self):
        return [c.lost for c in self.clients if c.lost]

    def close(self):
        self.selector.close()
        for c in self.clients:
            c.socket.close()
