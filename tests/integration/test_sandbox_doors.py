"""--sandbox=strict, where one forbidden call ends the process: every door, every format, before and after a reload."""
import base64
import http.client
import json
import os
import signal
import socket

import pytest

import pictures
from daemon import ROOT, SANITIZED, Daemon, logged
from pictures import RED, RED_JPEG
from secure import Secure
from test_grpc import Client, floats, grpc, pb, picture_request  # noqa: F401
from test_tls_grpc import channel_to

pytestmark = pytest.mark.skipif(SANITIZED, reason="sanitizers make calls that the filter forbids")

CORPUS = os.path.join(ROOT, "tests", "fuzz", "corpus", "image")
FORM = pictures.multipart([("image", "a.png", RED)])
STRICT = ["--sandbox=strict", "--workers", "2"]


def formats():
    """Every kind that there is a file of; the first byte is the fuzz target's own."""
    for name in sorted(os.listdir(CORPUS)):
        with open(os.path.join(CORPUS, name), "rb") as f:
            yield name, f.read()[1:]
    yield "progressive", pictures.plain((255, 0, 0), (640, 480), "JPEG", progressive=True)
    yield "large", pictures.noise(3000, 2000)


def through_http(connect):
    """The answers of raw, multipart and base64 on one connection that is kept."""
    c = connect()
    doors = [("PUT", RED, {}), ("POST", FORM[0], {"Content-Type": FORM[1]}),
             ("POST", json.dumps({"image": base64.b64encode(RED).decode()}), {"Content-Type": "application/json"})]
    labels = []
    for method, body, headers in doors:
        c.request(method, "/v1/classify", body, headers)
        r = c.getresponse()
        answer = json.loads(r.read())
        assert r.status == 200, answer
        labels.append(answer["predictions"][0]["label"])
    c.close()
    return labels


def through_grpc(channel, pb):  # noqa: F811
    """One call and a stream of three."""
    client = Client.__new__(Client)
    client.pb, client.channel = pb, channel
    assert floats(client.infer(picture_request(pb, RED)))[0].argmax() == 1
    answers = list(client.stream_infer(iter([picture_request(pb, RED)] * 3), timeout=30))
    assert [floats(a.infer_response)[0].argmax() for a in answers] == [1] * 3
    channel.close()


def reload(d):
    before = d.log().count("reloaded: ")
    d.signal(signal.SIGHUP)
    assert logged(d, "reloaded: ") and d.log().count("reloaded: ") == before + 1
    assert "reload failed" not in d.log()


def test_tcp(start, pb):  # noqa: F811
    d = start(*STRICT)
    for _ in range(2):
        assert through_http(d.connect) == ["red"] * 3
        through_grpc(grpc.insecure_channel(f"127.0.0.1:{d.grpc_port}"), pb)
        for query in ("", "?lenient=1"):
            for name, data in formats():
                r = d.classify(data, query, timeout=60)
                allowed = (200, 413, 415, 422, 501) if name.startswith("found") else (200, 415) if name.startswith("avif") else (200,)
                assert r.status in allowed, (name, r.body)
        if d.log().count("reloaded: ") == 0:
            reload(d)


def test_tls(tiny_models, ca, pb):  # noqa: F811
    cert, key = ca.sign("server", "serverAuth")
    d = Secure(ca, tiny_models, "--tls-cert", cert, "--tls-key", key, *STRICT)
    try:
        assert through_http(d.connect) == ["red"] * 3
        through_grpc(channel_to(d), pb)
        old = d.serial()
        ca.sign("server", "serverAuth")
        reload(d)
        assert d.serial() != old
        assert through_http(d.connect) == ["red"] * 3
        through_grpc(channel_to(d), pb)
    finally:
        d.stop()


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class OnUnix(Daemon):
    """Both ports are sockets in a folder."""

    def __init__(self, models, folder, *flags):
        self.path = f"{folder}/http"
        super().__init__(models, *flags, http=f"unix:{self.path}", grpc=f"unix:{folder}/grpc")

    def connect(self, timeout=30):
        return Unix(self.path)


def test_unix_sockets(tiny_models, tmp_path, pb):  # noqa: F811
    d = OnUnix(tiny_models, tmp_path, *STRICT)
    try:
        for _ in range(2):
            assert through_http(d.connect) == ["red"] * 3
            through_grpc(grpc.insecure_channel(f"unix:{tmp_path}/grpc"), pb)
            if d.log().count("reloaded: ") == 0:
                reload(d)
        assert d.classify(RED_JPEG).status == 200
    finally:
        d.stop()
