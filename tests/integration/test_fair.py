"""Turns in the queue: who asks rarely does not wait for who asks much, and who may ask for what."""
import hashlib
import http.client
import threading

import pytest

import pictures
from daemon import wait_for

SLOW = pictures.plain((9, 9, 9), (4000, 4000))  # few bytes, much to decode
QUICK = pictures.RED
FLOOD = 24
ONE_BY_ONE = ["--workers", "1", "--max-batch", "1", "--default-timeout-ms", "600000", "--cache-bytes", "0"]


def exchange(d, method, path, body=None, address="127.0.0.1", **headers):
    c = http.client.HTTPConnection("127.0.0.1", d.port, source_address=(address, 0))
    try:
        c.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = c.getresponse()
        return answer.status, answer.read()
    finally:
        c.close()


def ask(d, picture, *address, **headers):
    return exchange(d, "PUT", "/v1/classify", picture, *address, **headers)


class Flood:
    """As many slow pictures as wait at once, from one client."""

    def __init__(self, d, **headers):
        self.d, self.headers, self.answers = d, headers, []
        self.threads = [threading.Thread(target=lambda: self.answers.append(ask(d, SLOW, **headers)[0]))
                        for _ in range(FLOOD)]
        for t in self.threads:
            t.start()
        wait_for(lambda: self.waiting() >= FLOOD - 4)

    def waiting(self):
        text = exchange(self.d, "GET", "/metrics", **self.headers)[1].decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("mobilenetd_images_waiting"))

    def end(self):
        for t in self.threads:
            t.join()
        assert self.answers == [200] * FLOOD


def test_another_address_does_not_wait_for_all(start):
    d = start(*ONE_BY_ONE)
    flood = Flood(d)
    assert ask(d, QUICK, "127.0.0.2")[0] == 200
    assert flood.waiting() >= FLOOD / 2
    assert ask(d, QUICK)[0] == 200  # one of the flood's own waits for what came before it
    assert flood.waiting() <= 1
    flood.end()


def test_priority_of_a_plain_picture(start):
    d = start(*ONE_BY_ONE)
    flood = Flood(d)
    assert ask(d, QUICK, X_Request_Priority="1")[0] == 200
    assert flood.waiting() >= FLOOD / 2
    flood.end()
    for wrong in ("0", "9", "-1", "high", "1.5", ""):
        status, body = ask(d, QUICK, X_Request_Priority=wrong)
        assert status == 400 and b"X-Request-Priority" in body


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"
    limits = {"patient": "priority=8", "short": "timeout_ms=1", "free": ""}
    path.write_text("".join(f"{name} infer,metrics {hashlib.sha256(f'{name}-0123456789abcdef'.encode()).hexdigest()} {limit}\n"
                            for name, limit in limits.items()))
    return path


def of(name):
    return {"X_API_Key": f"{name}-0123456789abcdef"}


def test_limits_of_a_key(start, keys):
    d = start(*ONE_BY_ONE, "--api-keys", str(keys))
    flood = Flood(d, **of("free"))
    assert ask(d, QUICK, X_Request_Priority="1", **of("patient"))[0] == 200
    assert flood.waiting() <= 1  # whatever it asks for, it is behind everybody
    flood.end()
    assert ask(d, SLOW, X_Request_Timeout_Ms="60000", **of("short"))[0] in (429, 504)
    assert ask(d, SLOW, X_Request_Timeout_Ms="60000", **of("free"))[0] == 200


def test_nobody_waits_for_longer_than_max_wait(start):
    """The first are taken, for nothing is ahead of them; those who would wait are told so, and when to come back."""
    d = start("--workers", "1", "--max-batch", "1", "--default-timeout-ms", "600000", "--max-wait-ms", "1")
    answers = []

    def one():
        c = http.client.HTTPConnection("127.0.0.1", d.port)
        c.request("PUT", "/v1/classify", SLOW)
        answer = c.getresponse()
        answers.append((answer.status, answer.getheader("Retry-After"), answer.read()))
        c.close()
    threads = [threading.Thread(target=one) for _ in range(FLOOD)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    refused = [a for a in answers if a[0] == 429]
    assert len(refused) + len([a for a in answers if a[0] == 200]) == FLOOD
    assert refused and all(1 <= int(after) <= 60 and b"max_wait_ms" in body for _, after, body in refused)
    assert d.metric("mobilenetd_requests_refused_total", reason="wait") == len(refused)
    assert ask(d, SLOW)[0] == 200
