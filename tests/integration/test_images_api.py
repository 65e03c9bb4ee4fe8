"""Our own image API beyond the raw picture: JSON, data: URLs, NDJSON, embeddings, what the network sees."""
import base64
import hashlib
import io
import json

import numpy as np
import pytest

import pictures
from daemon import wait_for
from pictures import BLUE, GREEN, RED, RED_JPEG, noise, plain

JSON, LINES = {"Content-Type": "application/json"}, {"Content-Type": "application/x-ndjson"}


def b64(picture):
    return base64.b64encode(picture).decode()


def url(picture):
    return "data:image/png;base64," + b64(picture)


def without_times(result):
    return {k: v for k, v in result.items() if k not in ("timing_ms", "batch", "status")}


def labels(answer):
    return [r["predictions"][0]["label"] if "predictions" in r else r["status"] for r in answer["results"]]


@pytest.mark.parametrize("image", [b64, url, lambda p: {"b64": b64(p)}, lambda p: b64(p).rstrip("="),
                                   lambda p: b64(p).replace("+", "-").replace("/", "_")])
@pytest.mark.parametrize("headers", [JSON, {"Content-Type": "application/json; charset=utf-8"},
                                     {"Content-Type": "application/x-www-form-urlencoded"}, {}])
def test_json_is_the_picture(tiny, image, headers):
    r = tiny.request("POST", "/v1/classify", json.dumps({"image": image(RED_JPEG)}), headers)
    assert r.status == 200, r.body
    assert without_times(r.json) == without_times(tiny.classify(RED_JPEG).json)
    assert "inference;dur=" in r.headers["Server-Timing"]


def test_json_with_escaped_slashes(tiny):
    body = json.dumps({"image": url(RED_JPEG)}).replace("/", "\\/")
    assert tiny.request("POST", "/v1/classify", body, JSON).top["label"] == "red"


def test_json_list(tiny):
    r = tiny.request("POST", "/v1/classify", json.dumps({"images": [b64(RED), url(BLUE), "%%", b64(b"text"), b64(GREEN)],
                                                         "top_k": 1}), JSON)
    assert r.status == 200 and labels(r.json) == ["red", "blue", 400, 415, "green"]
    assert len(r.json["results"][0]["predictions"]) == 1
    r = tiny.request("POST", "/v1/classify", json.dumps({"images": [b64(RED)]}), JSON)
    assert labels(r.json) == ["red"]


def test_long_json_is_read_on_a_worker(tiny):
    noise = pictures.noise(400, 300, "PNG")
    assert len(noise) > 100000
    r = tiny.request("POST", "/v1/classify", json.dumps({"images": [b64(noise), b64(RED)]}), JSON)
    assert without_times(r.json["results"][0]) == without_times(tiny.classify(noise).json)
    assert labels(r.json)[1] == "red"


@pytest.mark.parametrize("body, status", [
    ("{", 400), ("{}", 400), ("[]", 400), ('{"image":1}', 400), ('{"image":null}', 400), ('{"images":[]}', 400),
    ('{"images":"x"}', 400), ('{"image":"YQ==","images":["YQ=="]}', 400), ('{"image":"YQ==","top_k":0}', 400),
    ('{"image":"YQ==","top_k":"x"}', 400), ('{"image":{"b64":"YQ==","x":1}}', 400), ('{"image":{}}', 400),
    ('{"image":"***"}', 400), ('{"image":"data:image/png,x"}', 400), ('{"image":"YQ=="}', 415), ('{"image":""}', 422),
    ('{"image":"YQ=="}x', 400), ('{"image":' + "[" * 100000, 400), ('{"images":' + json.dumps(["YQ=="] * 65) + "}", 413),
    ("", 422), ("null", 400)])
def test_bad_json(tiny, body, status):
    r = tiny.request("POST", "/v1/classify", body, JSON)
    assert r.status == status and r.json["error"], (r.status, r.body)


# ---- NDJSON ----

@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_lines(tiny, end):
    lines = ['{"id":"a","image":"%s"}' % b64(RED), '{"image":"%s","id":12345678901234567890}' % url(GREEN), "",
             '{"id":-1.50e3,"image":"***"}', "broken", '{"images":["%s","%s"]}' % (b64(RED), b64(RED)),
             '{"id":"\\u00e9","image":"%s"}' % b64(b"text"), '{"image":"%s"}' % b64(BLUE)]
    r = tiny.request("POST", "/v1/models/colour_16/classify", (end or "\n").join(lines) + end, LINES)
    assert r.status == 200 and r.headers["Content-Type"] == "application/x-ndjson"
    raw = r.body.decode().splitlines()
    got = [json.loads(line) for line in raw]
    assert [g["status"] for g in got] == [200, 200, 400, 400, 400, 415, 200]
    assert [g.get("id") for g in got] == ["a", 12345678901234567890, -1500.0, None, None, "\xe9", None]
    assert raw[1].startswith('{"id":12345678901234567890,') and raw[2].startswith('{"id":-1.50e3,')
    assert [g["predictions"][0]["label"] for g in got if g["status"] == 200] == ["red", "green", "blue"]
    assert all(g["error"] for g in got if g["status"] != 200)


def test_lines_without_one_good_image(tiny):
    r = tiny.request("POST", "/v1/classify", "x\ny\n", LINES)
    assert r.status == 200 and [json.loads(line)["status"] for line in r.body.splitlines()] == [400, 400]


def pieces(d, lines, path="/v1/classify"):
    """The lines of the answer, and how many pictures were still waiting when the first was here."""
    body = "".join(line + "\n" for line in lines).encode()
    c = d.connect()
    c.request("POST", path, body, LINES)
    r = c.getresponse()
    assert r.status == 200 and r.getheader("Content-Type") == "application/x-ndjson"
    assert r.getheader("Transfer-Encoding") == "chunked"
    got = [json.loads(r.readline())]
    waiting = d.metric("mobilenetd_images_waiting")
    while line := r.readline():
        got.append(json.loads(line))
    c.request("GET", "/v2/health/live")
    assert c.getresponse().status == 200  # the connection goes on
    c.close()
    return got, waiting


def test_lines_leave_when_they_are_ready(start):
    """One worker, pictures that take long: the first answer is here before the last picture is begun."""
    d = start("--workers", "1", "--max-batch", "1")
    slow = b64(plain((200, 30, 90), (4000, 4000)))
    got, waiting = pieces(d, ['{"id":%d,"image":"%s"}' % (i, slow if i else b64(RED)) for i in range(12)])
    assert [line["id"] for line in got] == list(range(12))
    assert all(line["status"] == 200 for line in got)
    assert waiting > 0


def test_bad_lines_wait_for_their_turn(start):
    d = start("--workers", "1")
    got, _ = pieces(d, ["x", '{"image":"%s"}' % b64(RED), "y", '{"image":"%s"}' % b64(b"text"), "z"])
    assert [line["status"] for line in got] == [400, 200, 400, 415, 400]


def test_who_leaves_between_lines(start):
    """What has not been computed is not, and the next client is served."""
    d = start("--workers", "1", "--max-batch", "1")
    slow = b64(noise(1500, 1200))
    body = ('{"image":"%s"}\n' % slow * 7).encode()
    with d.socket() as s:
        s.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert s.recv(100).startswith(b"HTTP/1.1 200")
    assert d.classify(RED).status == 200
    wait_for(lambda: d.metric("mobilenetd_requests_open") <= 1)


def test_a_stop_between_lines(start):
    d = start("--workers", "1", "--max-batch", "1", "--drain-timeout-ms", "300")
    slow = b64(noise(1500, 1200))
    c = d.connect()
    c.request("POST", "/v1/classify", ('{"image":"%s"}\n' % slow * 7).encode(), LINES)
    r = c.getresponse()
    first = json.loads(r.readline())
    d.signal()
    rest = [json.loads(line) for line in r.read().splitlines()]
    assert first["status"] == 200 and len(rest) == 6 and rest[-1]["status"] in (200, 503)
    assert d.wait() == 0


@pytest.mark.parametrize("body, status", [("\n\n", 400), ("{}\n" * 65, 413), ("", 422)])
def test_bad_lines(tiny, body, status):
    r = tiny.request("POST", "/v1/classify", body, LINES)
    assert r.status == status and r.json["error"]


# ---- embeddings ----

EMBED = "/v1/models/mobilenet_v1_0.25_128/embed"


def test_embedding(real):
    one = real.request("PUT", EMBED, RED).json
    assert len(one["embedding"]) == 256 and one["model"] == "mobilenet_v1_0.25_128" and one["batch"] == 1
    many = real.request("POST", EMBED, json.dumps({"images": [b64(RED), b64(BLUE), "%"]}), JSON).json["results"]
    assert many[0]["embedding"] == one["embedding"] != many[1]["embedding"] and many[2]["status"] == 400
    request = {"inputs": [{"name": "input", "shape": [1], "datatype": "BYTES", "data": [b64(RED)]}],
               "outputs": [{"name": "embedding"}]}
    a = real.request("POST", "/v2/models/mobilenet_v1_0.25_128/infer", json.dumps(request)).json
    assert a["outputs"][0]["data"] == one["embedding"]  # to the last digit


def test_no_embedding(tiny):
    r = tiny.request("PUT", "/v1/embed", RED)
    assert r.status == 400 and "embedding" in r.json["error"]


# ---- what the network sees ----

SEE = "/v1/models/colour_16/preprocess"


def test_tensor(tiny):
    picture = pictures.noise(90, 70, "PNG")
    a = tiny.request("PUT", SEE, picture).json
    raw = tiny.request("PUT", SEE + "?as=raw", picture)
    assert a["tensor"] == {"datatype": "UINT8", "shape": [1, 16, 16, 3], "sha256": hashlib.sha256(raw.body).hexdigest()}
    assert len(raw.body) == 16 * 16 * 3 and raw.headers["Content-Type"] == "application/octet-stream"
    px = np.frombuffer(raw.body, np.uint8).reshape(1, 16, 16, 3)
    array = np.load(io.BytesIO(tiny.request("PUT", SEE + "?as=npy", picture).body))
    assert array.dtype == np.uint8 and (array == px).all()
    # The tensor through another door gives what the picture gives.
    request = {"inputs": [{"name": "input", "shape": [1, 16, 16, 3], "datatype": "UINT8", "data": px.ravel().tolist()}],
               "outputs": [{"name": "classification"}]}
    first = tiny.request("POST", "/v2/models/colour_16/infer", json.dumps(request)).json["outputs"][0]["data"][0]
    top = tiny.request("PUT", "/v1/models/colour_16/classify", picture).top
    assert first.split(":")[2] == top["label"] and first.split(":")[0] == f'{top["score"]:.6f}'


def test_tensors_of_many(tiny):
    body, kind = pictures.multipart([("image", "a", RED), ("image", "b", BLUE)])
    r = tiny.request("POST", SEE + "?as=npy", body, {"Content-Type": kind})
    array = np.load(io.BytesIO(r.body))
    assert array.shape == (2, 16, 16, 3) and (array[0] == [255, 0, 0]).all() and (array[1] == [0, 0, 255]).all()
    body, kind = pictures.multipart([("image", "a", RED), ("image", "b", RED[:60])])
    r = tiny.request("POST", SEE, body, {"Content-Type": kind})
    assert [x["status"] for x in r.json["results"]] == [200, 422]
    assert tiny.request("POST", SEE + "?as=raw", body, {"Content-Type": kind}).status == 422


def test_preprocess_does_not_run_the_network(start):
    d = start()
    assert d.request("PUT", SEE, RED).status == 200
    stats, = d.request("GET", "/v2/models/colour_16/stats").json["model_stats"]
    assert stats["execution_count"] == 0


def test_bad_preprocess(tiny):
    assert tiny.request("PUT", SEE + "?as=png", RED).status == 400
    assert tiny.request("PUT", "/v1/models/nobody/preprocess", RED).status == 404
