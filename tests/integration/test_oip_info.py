"""Open Inference Protocol v2 over HTTP: what the server says of itself and of its models."""
import json

import pytest

from daemon import keys_file
from pictures import RED

pytestmark = pytest.mark.patient


def get(d, path, status=200):
    r = d.request("GET", path)
    assert r.status == status and r.headers["Content-Type"].startswith("application/json"), (r.status, r.body)
    return r.json


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2?x=1"])
def test_server(tiny, path):
    a = get(tiny, path)
    assert a["name"] == "mobilenetd" and a["version"]
    assert {"binary_tensor_data", "classification", "statistics", "model_configuration"} <= set(a["extensions"])


def test_health(tiny):
    assert get(tiny, "/v2/health/live") == {"live": True}
    assert get(tiny, "/v2/health/ready") == {"ready": True}
    assert get(tiny, "/v2/models/colour/ready") == {"name": "colour", "ready": True}
    assert get(tiny, "/v2/models/colour/versions/1/ready") == {"name": "colour", "ready": True}


@pytest.mark.parametrize("path", ["/v2/models/colour_16", "/v2/models/colour_16/versions/1"])
def test_model(tiny, path):
    a = get(tiny, path)
    assert (a["name"], a["versions"], a["platform"]) == ("colour_16", ["1"], "mobilenetd_tflite")
    assert a["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": [-1, 16, 16, 3]}]
    assert a["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]}]
    assert get(tiny, path + "?outputs=all")["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 4]},
                                                           {"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]},
                                                           {"name": "classification", "datatype": "BYTES", "shape": [-1, 3]}]
    assert a["properties"]["class_offset"] == "1" and len(a["properties"]["sha256"]) == 64


def test_embedding_is_told(real):
    a = get(real, "/v2/models/mobilenet_v1_0.25_128?outputs=all")
    assert a["outputs"][-1] == {"name": "embedding", "datatype": "FP32", "shape": [-1, 256]}


def test_config(tiny):
    a = get(tiny, "/v2/models/colour_16/config")
    assert a == get(tiny, "/v2/models/colour_16/versions/1/config")
    assert a["max_batch_size"] == 64 and a["backend"] == "mobilenetd"
    assert a["input"][0]["data_type"] == "TYPE_UINT8" and a["input"][0]["dims"] == [16, 16, 3]
    assert a["input"][0]["format"] == "FORMAT_NHWC"
    assert [(o["name"], o["data_type"], o["dims"]) for o in a["output"]] == [("probabilities", "TYPE_FP32", [4])]
    a = get(tiny, "/v2/models/colour_16/config?outputs=all")
    assert [(o["name"], o["data_type"], o["dims"]) for o in a["output"]] == [
        ("logits", "TYPE_FP32", [4]), ("probabilities", "TYPE_FP32", [4]), ("classification", "TYPE_STRING", [3])]
    assert a["dynamic_batching"]["priority_levels"] == 8


def test_statistics(start):
    d = start()
    before = get(d, "/v2/models/inverse/stats")["model_stats"]
    assert len(before) == 1 and before[0]["inference_count"] == 0 and before[0]["last_inference"] == 0
    for _ in range(3):
        assert d.request("PUT", "/v1/models/inverse/classify", RED).status == 200
    assert d.request("PUT", "/v1/models/inverse/classify", RED[:60]).status == 422
    s, = get(d, "/v2/models/inverse/versions/1/stats")["model_stats"]
    assert (s["name"], s["version"], s["inference_count"], s["execution_count"]) == ("inverse", "1", 3, 3)
    i = s["inference_stats"]
    assert i["success"]["count"] == 3 and i["fail"]["count"] == 1 and i["queue"]["count"] == 3
    assert i["success"]["ns"] >= i["compute_infer"]["ns"] > 0 and i["compute_input"]["ns"] > 0
    assert s["batch_stats"][0]["batch_size"] == 1 and s["batch_stats"][0]["compute_infer"]["count"] == 3
    assert s["last_inference"] > 1700000000000 and s["memory_usage"][0]["byte_size"] > 0
    names = {m["name"] for m in get(d, "/v2/models/stats")["model_stats"]}
    assert names == {"colour_16", "colour_32", "inverse"}


@pytest.mark.parametrize("path", ["/v2/models/nobody", "/v2/models/nobody/config", "/v2/models/nobody/stats",
                                  "/v2/models/nobody/ready", "/v2/models/colour/versions/2",
                                  "/v2/models/colour/versions/2/stats", "/v2/models/colour/versions/x"])
def test_unknown(tiny, path):
    assert get(tiny, path, 404)["error"].startswith("Request for unknown model: ")


@pytest.mark.parametrize("body, names", [("", 3), ("{}", 3), ('{"ready":true}', 3), ('{"ready":false,"x":[1]}', 3)])
def test_index(tiny, body, names):
    r = tiny.request("POST", "/v2/repository/index", body)
    assert r.status == 200 and len(r.json) == names
    assert all(m["state"] == "READY" and m["version"] == "1" for m in r.json)


@pytest.mark.parametrize("body", ["{", "[]", '{"ready":1}', '{"ready":true}x'])
def test_bad_index(tiny, body):
    r = tiny.request("POST", "/v2/repository/index", body)
    assert r.status == 400 and r.json["error"]


def test_logging_needs_admin(tiny):
    a = get(tiny, "/v2/logging")
    assert (a["log_info"], a["log_error"], a["log_verbose_level"]) == (True, True, 0)
    r = tiny.request("POST", "/v2/logging", json.dumps({"log_info": False}))
    assert r.status == 403 and "admin" in r.json["error"]


def test_logging_needs_a_key(start):
    r = start("--admin").request("POST", "/v2/logging", "{}")
    assert r.status == 403 and "api_keys" in r.json["error"]


def test_logging(start, tmp_path):
    d = start("--admin", "--api-keys", keys_file(tmp_path, "root-5f1c infer,admin"))
    ask = d.request
    d.request = lambda method, path, body=None, headers=None: ask(
        method, path, body, {"X-API-Key": "root-5f1c", **(headers or {})})
    r = d.request("POST", "/v2/logging", json.dumps({"log_info": False}))
    assert r.status == 200 and r.json["log_info"] is False and r.json["log_warning"] is True
    quiet = d.log()
    d.classify(RED)
    assert get(d, "/v2/logging")["log_info"] is False
    assert "/v1/classify" not in d.log()[len(quiet):]
    r = d.request("POST", "/v2/logging", json.dumps({"log_verbose_level": 1}))
    assert r.json["log_verbose_level"] == 1 and r.json["log_info"] is True
    for bad in ({"log_file": "/tmp/x"}, {"log_info": 1}, [], {"log_verbose_level": "x"}):
        assert d.request("POST", "/v2/logging", json.dumps(bad)).status == 400


@pytest.mark.parametrize("method, path", [("GET", "/v2/trace/setting"), ("POST", "/v2/models/colour/trace/setting"),
                                          ("GET", "/v2/systemsharedmemory/status"), ("GET", "/v2/cudasharedmemory/status")])
def test_what_is_not_supported(tiny, method, path):
    r = tiny.request(method, path, "{}" if method == "POST" else None)
    assert r.status == 501 and r.json["error"]


@pytest.mark.parametrize("method, path", [("POST", "/v2"), ("GET", "/v2/repository/index"), ("PUT", "/v2/logging"),
                                          ("DELETE", "/v2/models/colour")])
def test_wrong_method(tiny, method, path):
    r = tiny.request(method, path, "" if method in ("POST", "PUT") else None)
    assert r.status == 405 and r.headers["Allow"]


@pytest.mark.parametrize("path", ["/v2/models", "/v2/models/", "/v2/models/a/b", "/v2/x", "/v2/models/a/versions", "/v3"])
def test_nothing_there(tiny, path):
    assert get(tiny, path, 404)["error"]
