"""TensorFlow Serving's REST API: predict in both forms, classify, status, metadata, refusals."""
import base64
import json

import numpy as np
import pytest

import pictures
import tinymodel
from pictures import BLUE, GREEN, RED, RED_JPEG

COLOUR = (200, 30, 90)
PREDICT = "/v1/models/colour_16:predict"


def b64(picture):
    return {"b64": base64.b64encode(picture).decode()}


def post(d, path, request, status=200, headers=None):
    r = d.request("POST", path, request if isinstance(request, bytes) else json.dumps(request), headers or {})
    assert r.status == status, (r.status, r.body)
    assert r.headers["Content-Type"] == "application/json"
    return r.json


def oip(d, picture, output="probabilities"):
    request = {"inputs": [{"name": "input", "shape": [1], "datatype": "BYTES", "data": [b64(picture)["b64"]]}],
               "outputs": [{"name": output}]}
    return post(d, "/v2/models/colour_16/infer", request)["outputs"][0]["data"]


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/colour_16/versions/1:predict"])
@pytest.mark.parametrize("instance", [lambda p: b64(p), lambda p: {"input": b64(p)}, lambda p: {"image_bytes": b64(p)},
                                      lambda p: b64(p)["b64"]])
def test_rows(tiny, path, instance):
    picture = pictures.plain(COLOUR)
    a = post(tiny, path, {"instances": [instance(picture), instance(GREEN)]})
    assert list(a) == ["predictions"] and len(a["predictions"]) == 2
    assert a["predictions"][0] == oip(tiny, picture)  # the same digits through both doors
    assert np.argmax(a["predictions"][1]) == 2


@pytest.mark.parametrize("inputs", [lambda p: [b64(p)], lambda p: b64(p), lambda p: {"input": [b64(p)]},
                                    lambda p: {"input": b64(p)}])
def test_columns(tiny, inputs):
    picture = pictures.plain(COLOUR)
    a = post(tiny, PREDICT, {"inputs": inputs(picture), "signature_name": "serving_default"})
    assert a == {"outputs": [oip(tiny, picture)]}


def test_numbers_are_pixels_for_a_quantised_network(tiny):
    px = np.full((16, 16, 3), COLOUR, np.uint8)
    picture = pictures.plain(COLOUR, (16, 16))
    for instance in (px.tolist(), px.ravel().tolist(), {"input": px.tolist()}):
        a = post(tiny, PREDICT, {"instances": [instance, instance]})
        assert a["predictions"] == [oip(tiny, picture)] * 2
    assert post(tiny, PREDICT, {"inputs": [px.tolist()]})["outputs"] == [oip(tiny, picture)]


@pytest.mark.parametrize("name", ["logits", "probabilities", "classification"])
def test_a_signature_for_every_output(tiny, name):
    a = post(tiny, PREDICT, {"instances": [b64(RED)], "signature_name": name})
    assert a["predictions"][0] == oip(tiny, RED, name)


@pytest.mark.parametrize("path", ["/v1/models/colour_16:classify", "/v1/models/colour_16/versions/1:classify"])
def test_classify(tiny, path):
    a = post(tiny, path, {"examples": [{"image": b64(RED_JPEG)}, {"image": b64(BLUE)}]})
    assert [row[0][0] for row in a["results"]] == ["red", "blue"]
    want = {p["label"]: p["score"] for p in
            tiny.request("PUT", "/v1/models/colour_16/classify", BLUE).json["predictions"]}
    assert dict(a["results"][1]) == want
    assert len(post(tiny, path + "?top_k=1", {"examples": [{"image": b64(RED)}]})["results"][0]) == 1


@pytest.mark.parametrize("path", ["/v1/models/colour_16", "/v1/models/colour_16/versions/1",
                                  "/v1/models/colour_16/labels/stable", "/v1/models/colour"])
def test_status(tiny, path):
    r = tiny.request("GET", path)
    assert r.status == 200 and r.json == {"model_version_status": [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}


def test_status_of_a_broken_model(start, tmp_path):
    tinymodel.write(str(tmp_path), "good", 16)
    tinymodel.write(str(tmp_path), "bad", 16)
    (tmp_path / "bad" / "1" / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3" + b"\xff" * 100)
    d = start(models=tmp_path)
    s, = d.request("GET", "/v1/models/bad").json["model_version_status"]
    assert s["state"] == "END" and s["status"]["error_code"] != "OK" and s["status"]["error_message"]
    index = {m["name"]: m for m in d.request("POST", "/v2/repository/index", "").json}
    assert index["bad"]["state"] == "UNAVAILABLE" and index["bad"]["reason"] and index["good"]["state"] == "READY"
    assert [m["name"] for m in d.request("POST", "/v2/repository/index", '{"ready":true}').json] == ["good"]


@pytest.mark.parametrize("path", ["/v1/models/colour_16/metadata", "/v1/models/colour_16/versions/1/metadata"])
def test_metadata(tiny, path):
    a = tiny.request("GET", path).json
    assert a["model_spec"] == {"name": "colour_16", "signature_name": "", "version": "1"}
    signature = a["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["input"]["dtype"] == "DT_UINT8"
    assert [d["size"] for d in signature["inputs"]["input"]["tensor_shape"]["dim"]] == ["-1", "16", "16", "3"]
    assert signature["outputs"]["probabilities"]["dtype"] == "DT_FLOAT"


@pytest.mark.parametrize("method, path", [
    ("GET", "/v1/models/nobody"), ("GET", "/v1/models/colour/versions/2"), ("GET", "/v1/models/colour/labels/canary"),
    ("GET", "/v1/models/nobody/metadata"), ("POST", "/v1/models/nobody:predict"),
    ("POST", "/v1/models/colour/versions/2:predict"), ("POST", "/v1/models/nobody:classify")])
def test_unknown(tiny, method, path):
    r = tiny.request(method, path, "{}" if method == "POST" else None)
    assert r.status == 404 and r.json["error"]


def test_regress(tiny):
    assert "classify" in post(tiny, "/v1/models/colour:regress", {"examples": [{"x": 1.0}]}, 501)["error"]


@pytest.mark.parametrize("request_", [
    b"", b"{", b"[]", b"{\"instances\":" + b"[" * 100000, {}, {"instances": []}, {"instances": [1]}, {"instances": {}},
    {"instances": [[1, 2]]}, {"instances": [{}]}, {"instances": [{"x": b64(RED)}]}, {"instances": [{"b64": "%"}]},
    {"instances": [{"b64": 1}]}, {"instances": [b64(RED)], "inputs": [b64(RED)]}, {"inputs": {}},
    {"instances": [b64(RED)], "signature_name": "nothing"}, {"instances": [b64(RED)], "signature_name": "embedding"},
    {"instances": [{"input": b64(RED)}, {"image": b64(RED)}]}, {"instances": [[0.5] * 768]}, {"instances": [[0] * 767]},
    {"instances": [[0] * 769]}, {"instances": [[[256] * 768]]}, {"instances": [["x"] * 768]}, {"examples": [{"image": b64(RED)}]},
    {"instances": [b64(RED)] * 65}])
def test_bad_predict(tiny, request_):
    assert post(tiny, PREDICT, request_, 400)["error"]


def test_bad_classify(tiny):
    path = "/v1/models/colour:classify"
    assert post(tiny, path, {"instances": [b64(RED)]}, 400)["error"]
    assert post(tiny, path + "?top_k=0", {"examples": [{"image": b64(RED)}]}, 400)["error"]
    assert post(tiny, path, {"examples": [{"image": b64(RED[:60])}]}, 422)["error"]
    assert post(tiny, path, {"examples": [{"image": b64(b"just text")}]}, 415)["error"]


def test_wrong_method(tiny):
    r = tiny.request("GET", "/v1/models/colour:predict")
    assert r.status == 405 and r.headers["Allow"] == "POST"
