"""A model of 174,447 outputs, as some have them: what asks for many of its classes is answered soon, or refused by max_top_k."""
import base64
import json

import numpy as np
import pytest

import pictures
import tinymodel
from test_grpc import Client, code_of, grpc, pb  # noqa: F401

N = 174_447
CLASSES = N - 1  # behind the background
NAME = "many"
RED = pictures.plain((255, 0, 0), (20, 20))
B64 = base64.b64encode(RED).decode()
INFER = f"/v2/models/{NAME}/infer"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Class c answers to red with the more, the higher c is: in steps, as the weights are bytes, so with ties."""
    path = str(tmp_path_factory.mktemp("many"))
    weights = np.zeros((N, 1, 1, 3), np.float32)
    weights[:, 0, 0, 0] = np.linspace(-1, 1, N)
    tinymodel.write(path, NAME, 16, weights=weights, embeds=True, labels=["background"] + [f"c{i}" for i in range(CLASSES)])
    return path


@pytest.fixture(scope="module")
def wide(repository):
    from daemon import Daemon
    d = Daemon(repository, "--max-top-k=200000")
    yield d
    d.stop()


def order(d):
    """The classes as the protocol's numbers rank them."""
    body = {"inputs": [{"name": "input", "datatype": "BYTES", "shape": [1], "data": [B64]}], "outputs": [{"name": "logits"}]}
    logits = np.array(d.request("POST", INFER, json.dumps(body)).json["outputs"][0]["data"], np.float32)
    assert logits.shape == (N,) and len(set(logits)) > 50
    return np.argsort(-logits[1:], kind="stable").tolist()


def classes(answer):
    assert answer.status == 200, answer.body[:200]
    return [p["class"] for p in answer.json["predictions"]]


def test_all_of_them(wide):
    want = order(wide)
    got = classes(wide.classify(RED, "?top_k=200000"))
    assert len(got) == CLASSES and got == want
    assert classes(wide.classify(RED, "?top_k=1000")) == want[:1000]
    assert classes(wide.classify(RED)) == want[:5]


def test_all_of_them_as_strings(wide, pb):  # noqa: F811
    want = order(wide)
    k = CLASSES
    body = {"inputs": [{"name": "input", "datatype": "BYTES", "shape": [1], "data": [B64]}],
            "outputs": [{"name": "classification", "parameters": {"classification": k}}]}
    strings = wide.request("POST", INFER, json.dumps(body)).json["outputs"][0]["data"]
    assert [int(s.split(":")[1]) - 1 for s in strings] == want
    rows = wide.request("POST", f"/v1/models/{NAME}:classify?top_k={k}",
                        json.dumps({"examples": [{"image": {"b64": B64}}]})).json["results"]
    assert [label for label, _ in rows[0]] == [f"c{c}" for c in want]


DOORS = {
    "query": lambda d, k: d.classify(RED, f"?top_k={k}"),
    "form": lambda d, k: d.request("POST", "/v1/classify", (
        f'--x\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n{k}\r\n--x\r\nContent-Disposition: form-data; '
        f'name="image"; filename="a.png"\r\n\r\n').encode() + RED + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}),
    "json": lambda d, k: d.request("POST", "/v1/classify", json.dumps({"image": B64, "top_k": k}), {"Content-Type": "application/json"}),
    "tfs": lambda d, k: d.request("POST", f"/v1/models/{NAME}:classify?top_k={k}", json.dumps({"examples": [{"image": {"b64": B64}}]})),
    "oip": lambda d, k: d.request("POST", INFER, json.dumps({
        "inputs": [{"name": "input", "datatype": "BYTES", "shape": [1], "data": [B64]}],
        "outputs": [{"name": "probabilities", "parameters": {"classification": k}}]})),
}


@pytest.fixture(scope="module")
def usual(repository):
    from daemon import Daemon
    d = Daemon(repository)
    yield d
    d.stop()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("k", [1025, CLASSES, 10**9])
def test_more_than_the_option_allows(usual, door, k):
    r = DOORS[door](usual, k)
    assert r.status == 400 and "max_top_k" in r.json["error"] and "1024" in r.json["error"]
    assert DOORS[door](usual, 1024).status == 200


def test_more_than_the_option_allows_over_grpc(usual, pb):  # noqa: F811
    c = Client(usual, pb)
    request = pb.inference.ModelInferRequest(model_name=NAME)
    request.inputs.add(name="input", datatype="BYTES", shape=[1]).contents.bytes_contents.append(RED)
    k = request.outputs.add(name="probabilities").parameters["classification"]
    k.int64_param = 1025
    code, sentence = code_of(c.infer, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "max_top_k" in sentence
    k.int64_param = 1024
    assert list(c.infer(request).outputs[0].shape) == [1, 1024]
    c.channel.close()


def test_a_model_of_few_classes_has_no_bound(tiny):
    """What it has is all that there is: more was never an error."""
    assert len(classes(tiny.classify(RED, "?top_k=1000000"))) == 3
