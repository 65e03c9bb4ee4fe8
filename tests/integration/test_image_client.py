"""NVIDIA's image_client, Python and C++, over HTTP, gRPC and streams: its checks of a model and its requests, replayed as
src/python/examples/image_client.py, src/c++/examples/image_client.cc and their libraries make them
(triton-inference-server/client 58a44ca). Debian has no package of it."""
import json
import struct

import numpy as np
import pytest

import pictures
import tinymodel
from test_grpc import Client, grpc, pb, plain  # noqa: F401

MODEL = "colour_16"
COLOURS = [(230, 20, 30), (20, 200, 40), (10, 30, 240)]
NAMES = ["red", "green", "blue"]
DTYPES = {"UINT8": np.uint8, "FP32": np.float32}


# ---- what it demands of a model before it asks anything ----

def parse_model(metadata, config):
    """Both as JSON. (batching, input name, output name, size (h, w), datatype); AssertionError is its refusal."""
    assert len(metadata["inputs"]) == 1, "expecting 1 input"
    assert len(metadata["outputs"]) == 1, "expecting 1 output"
    assert len(config["input"]) == 1, "expecting 1 input in model configuration"
    given, output = metadata["inputs"][0], metadata["outputs"][0]
    assert output["datatype"] == "FP32", "expecting output datatype to be FP32"
    batching = config["max_batch_size"] > 0
    row = [int(n) for n in output["shape"]][1 if batching else 0:]
    assert -1 not in row, "variable-size dimension in model output not supported"
    assert sum(n > 1 for n in row) <= 1, "expecting model output to be a vector"
    assert len(given["shape"]) == 3 + batching, "expecting input to have 3 dimensions"
    assert config["input"][0]["format"] == "FORMAT_NHWC", "unexpected input format"
    h, w, c = (int(n) for n in given["shape"][1 if batching else 0:])
    assert c == 3
    return config["max_batch_size"], given["name"], output["name"], (h, w), given["datatype"]


def preprocess(colour, size, datatype, scaling="NONE"):
    """A picture of one colour; INCEPTION is -1 to 1."""
    pixels = np.full((*size, 3), colour, DTYPES[datatype])
    return pixels / np.float32(127.5) - np.float32(1) if scaling == "INCEPTION" else pixels


def check(strings, batch, classes):
    """postprocess(): a score, an index and a label for each; here also the right ones."""
    assert len(strings) == batch * classes
    for i in range(batch):
        score, index, label = strings[i * classes].split(":")
        assert label == NAMES[i % 3] and tinymodel.LABELS[int(index)] == label and 0 < float(score) <= 1


def strings_of(raw):
    found = []
    while raw:
        n, = struct.unpack_from("<I", raw)
        found.append(raw[4:4 + n].decode())
        raw = raw[4 + n:]
    return found


def batch_of(model, batch):
    _, _, _, size, datatype = model
    return np.stack([preprocess(COLOURS[i % 3], size, datatype) for i in range(batch)])


# ---- HTTP ----

def http_model(daemon, query="", name=MODEL):
    answers = [daemon.request("GET", f"/v2/models/{name}{part}{query}") for part in ("", "/config")]
    assert [a.status for a in answers] == [200, 200]
    return answers[0].json, answers[1].json


def python_request(model, data, request_id, classes):
    """(head, headers); json.dumps() of dictionaries in this order, no Content-Type."""
    _, given, output, _, datatype = model
    head = json.dumps({"id": request_id,
                       "inputs": [{"name": given, "shape": list(data.shape), "datatype": datatype,
                                   "parameters": {"binary_data_size": data.nbytes}}],
                       "outputs": [{"name": output, "parameters": {"classification": classes, "binary_data": True}}]})
    return head.encode(), {}


def cpp_request(model, data, request_id, classes):
    """RapidJSON's text, without blanks; its order; and libcurl's headers."""
    _, given, output, _, datatype = model
    head = json.dumps({"id": request_id,
                       "inputs": [{"name": given, "datatype": datatype, "shape": list(data.shape),
                                   "parameters": {"binary_data_size": data.nbytes}}],
                       "outputs": [{"name": output, "parameters": {"classification": classes, "binary_data": True}}]},
                      separators=(",", ":"))
    return head.encode(), {"Content-Type": "application/octet-stream"}


@pytest.mark.parametrize("make", [python_request, cpp_request])
@pytest.mark.parametrize("version", ["", "/versions/1"])
@pytest.mark.parametrize("batch, classes", [(1, 1), (1, 3), (4, 2)])
def test_http(tiny, make, version, batch, classes):
    model = parse_model(*http_model(tiny))
    data = batch_of(model, batch)
    head, headers = make(model, data, "1", classes)
    r = tiny.request("POST", f"/v2/models/{MODEL}{version}/infer", head + data.tobytes(),
                     {"Inference-Header-Content-Length": str(len(head)), **headers})
    assert r.status == 200, r.body
    at = int(r.headers["Inference-Header-Content-Length"])
    answer = json.loads(r.body[:at])
    one, = answer["outputs"]
    assert answer["id"] == "1" and one["name"] == model[2]
    assert (one["datatype"], one["shape"]) == ("BYTES", [batch, classes])
    assert one["parameters"]["binary_data_size"] == len(r.body) - at
    check(strings_of(r.body[at:]), batch, classes)


# ---- gRPC ----

@pytest.fixture
def client(tiny, pb):  # noqa: F811
    c = Client(tiny, pb)
    yield c
    c.channel.close()


def grpc_model(client, name=MODEL):
    return plain(client.call("ModelMetadata", name=name)), plain(client.call("ModelConfig", name=name).config)


def grpc_request(client, model, data, request_id, classes, cpp):
    _, given, output, _, datatype = model
    r = client.pb.inference.ModelInferRequest(model_name=MODEL, id=request_id)
    if cpp:
        r.parameters["triton_enable_empty_final_response"].bool_param = False
    r.inputs.add(name=given, datatype=datatype, shape=data.shape)
    r.outputs.add(name=output).parameters["classification"].int64_param = classes
    r.raw_input_contents.append(data.tobytes())
    return r


def check_grpc(answer, request_id, model, batch, classes):
    one, = answer.outputs
    assert answer.id == request_id and one.name == model[2] and one.datatype == "BYTES"
    assert list(one.shape) == [batch, classes]
    check(strings_of(answer.raw_output_contents[0]), batch, classes)


@pytest.mark.parametrize("cpp", [False, True], ids=["python", "c++"])
@pytest.mark.parametrize("batch, classes", [(1, 1), (4, 3)])
def test_grpc(client, cpp, batch, classes):
    model = parse_model(*grpc_model(client))
    answer = client.infer(grpc_request(client, model, batch_of(model, batch), "1", classes, cpp))
    check_grpc(answer, "1", model, batch, classes)


@pytest.mark.parametrize("cpp", [False, True], ids=["python", "c++"])
def test_streaming(client, cpp):
    model = parse_model(*grpc_model(client))
    requests = [grpc_request(client, model, batch_of(model, 2), str(i + 1), 3, cpp) for i in range(5)]
    answers = list(client.stream_infer(iter(requests), timeout=30))
    assert [a.error_message for a in answers] == [""] * 5
    for i, a in enumerate(answers):
        check_grpc(a.infer_response, str(i + 1), model, 2, 3)


# ---- the outputs that are not shown ----

ALL = ["logits", "probabilities", "classification"]


def names(tensors):
    return [t["name"] for t in tensors]


def test_one_output_by_default(tiny):
    metadata, config = http_model(tiny)
    assert names(metadata["outputs"]) == names(config["output"]) == ["probabilities"]


def test_all_of_them_where_they_are_asked_for(tiny):
    metadata, config = http_model(tiny, "?outputs=all")
    assert names(metadata["outputs"]) == names(config["output"]) == ALL
    body = json.dumps({"inputs": [{"name": "input", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": [9] * 768}]})
    path = f"/v2/models/{MODEL}/infer"
    assert names(tiny.request("POST", path, body).json["outputs"]) == ["probabilities"]
    assert names(tiny.request("POST", path + "?outputs=all", body).json["outputs"]) == ALL


@pytest.mark.parametrize("path", ["", "/config", "/infer"])
def test_another_word(tiny, path):
    r = tiny.request("POST" if path == "/infer" else "GET", f"/v2/models/{MODEL}{path}?outputs=some", b"{}" if path == "/infer" else None)
    assert r.status == 400 and r.json["error"] == f"outputs: unexpected inference output 'some' for model '{MODEL}'"


def test_the_manifest_shows_them(start, pb, tmp_path):  # noqa: F811
    tinymodel.write(str(tmp_path), "loud", 16, shown_outputs="all")
    tinymodel.write(str(tmp_path), "quiet", 16, shown_outputs="usual")
    d = start(models=str(tmp_path))
    metadata, config = http_model(d, name="loud")
    assert names(metadata["outputs"]) == names(config["output"]) == ALL
    assert names(http_model(d, name="quiet")[0]["outputs"]) == ["probabilities"]
    client = Client(d, pb)
    metadata, config = grpc_model(client, "loud")
    assert names(metadata["outputs"]) == names(config["output"]) == ALL
    client.channel.close()


def test_a_picture_may_be_sent_too(tiny):
    """The model's `input` is pixels for image_client; its output is the one that other clients read first."""
    r = tiny.request("POST", f"/v2/models/{MODEL}/infer", pictures.RED, {"Inference-Header-Content-Length": "0"})
    assert r.status == 200 and r.body[:int(r.headers["Inference-Header-Content-Length"])].count(b'"name"') == 1
