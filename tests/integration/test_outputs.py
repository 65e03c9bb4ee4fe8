"""Models of several outputs, and any output of any model, under the names, shapes and types of their files: through REST in
JSON and binary, gRPC in one call and on a stream, and TensorFlow Serving."""
import json
import os

import grpc
import numpy as np
import pytest

import pictures
import tinymodel
from test_grpc import Client, code_of, pb  # noqa: F401
from test_oip import binary, elements, post, refused, split

onnx = pytest.importorskip("onnx")
import onnx.helper  # noqa: E402
import onnx.numpy_helper  # noqa: E402

pytestmark = pytest.mark.patient

SIDE = 8
TYPES = {"FP32": "<f4", "UINT8": "u1", "INT8": "i1"}
# Small whole numbers: every sum is exact, in whichever order.
CONV = np.array([[1, -2, 3], [-1, 2, 0], [0, 1, -1], [2, 0, 1]], np.float32)
DENSE = np.array([[1, -1, 2, 0], [0, 3, -2, 1], [-2, 0, 1, -3], [1, 1, 1, 1], [-4, 0, 0, 1]], np.float32)


def toy_network():
    """x -> a convolution -> three ends, of which none leads to another: the map pooled ("map:0", FP32 4x4x4, channels
    first), rows of pixels ("rows", FP32 64x4) and five numbers quantised ("quanta", INT8)."""
    def const(name, value):
        return onnx.numpy_helper.from_array(np.asarray(value), name)

    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        node("Conv", ["x", "w"], ["conv"]),
        node("Relu", ["conv"], ["features"]),
        node("MaxPool", ["features"], ["map:0"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", ["features"], ["turned"], perm=[0, 2, 3, 1]),
        node("Reshape", ["turned", "shape"], ["rows"]),
        node("GlobalAveragePool", ["features"], ["mean"]),
        node("Flatten", ["mean"], ["flat"]),
        node("Gemm", ["flat", "d"], ["dense"], transB=1),
        node("QuantizeLinear", ["dense", "scale", "zero"], ["quanta"]),
    ]
    constants = [const("w", CONV.reshape(4, 3, 1, 1)), const("d", DENSE), const("shape", np.array([1, 64, 4])),
                 const("scale", np.float32(0.5)), const("zero", np.int8(-3))]
    f, i8 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT8
    graph = onnx.helper.make_graph(
        nodes, "toy", [info("x", f, [1, 3, SIDE, SIDE])],
        [info("map:0", f, [1, 4, 4, 4]), info("quanta", i8, [1, 5]), info("rows", f, [1, 64, 4])], constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)]).SerializeToString()


def wanted(x):
    """Of NHWC pictures, in numpy."""
    features = np.maximum(x.astype(np.float32) @ CONV.T, 0)
    pooled = features.reshape(-1, 4, 2, 4, 2, 4).max(axis=(2, 4)).transpose(0, 3, 1, 2)
    dense = features.mean(axis=(1, 2)) @ DENSE.T
    quanta = np.clip(np.rint(dense / 0.5) - 3, -128, 127).astype(np.int8)
    return {"map:0": pooled, "quanta": quanta, "rows": features.reshape(-1, 64, 4)}


def picture(seed):
    return np.random.default_rng(seed).integers(-4, 5, (SIDE, SIDE, 3)).astype(np.float32)


X = np.stack([picture(1), picture(2)])
WANT = wanted(X)
SHAPES = {"map:0": [-1, 4, 4, 4], "quanta": [-1, 5], "rows": [-1, 64, 4]}
KINDS = {"map:0": "FP32", "quanta": "INT8", "rows": "FP32"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from daemon import Daemon
    path = tmp_path_factory.mktemp("outputs")
    for name, more in (("toy", {}), ("mapped", {"output": "map:0"})):
        folder = path / name / "1"
        os.makedirs(folder)
        (folder / "net.onnx").write_bytes(toy_network())
        (folder / "model.json").write_text(json.dumps({"input": {"mean": 0, "scale": 1}, **more}))
    tinymodel.write(str(path), "two", 16, end="two")
    tinymodel.write(str(path), "colours", 16)
    tinymodel.write(str(path), "map", 16, end="map")
    tinymodel.write(str(path), "plain_scores", 16, task="tensors")
    tinymodel.write(str(path), "vector", 16, end="none", task="embedding")
    tinymodel.write(str(path), "plain_map", 16, end="map", task="tensors")
    d = Daemon(str(path), "--cache-bytes", "1000000")
    yield d
    d.stop()


@pytest.fixture
def client(served, pb):  # noqa: F811
    c = Client(served, pb)
    yield c
    c.channel.close()


def given(x=X):
    return {"name": "input", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}


def check(outputs, names=("map:0", "quanta", "rows")):
    assert [o["name"] for o in outputs] == list(names)
    for o in outputs:
        want = WANT[o["name"]]
        assert o["datatype"] == KINDS[o["name"]] and o["shape"] == list(want.shape)
        assert np.array_equal(np.array(o["data"]).reshape(o["shape"]), want), o["name"]


def test_quanta_have_both_signs():
    assert WANT["quanta"].min() < 0 < WANT["quanta"].max() and (WANT["quanta"][0] != WANT["quanta"][1]).any()


# ---- our own route ----

def tensors(served, image, query="", model="two"):
    r = served.request("PUT", f"/v1/models/{model}/tensors{query}", image)
    return r.json["outputs"] if r.status == 200 else r


def test_tensors_of_a_picture(served):
    rgb = (200, 30, 90)
    quanta, mean = two(rgb)
    image = pictures.plain(rgb, (40, 30))
    features, average = tensors(served, image)
    assert (features["name"], features["datatype"], features["shape"]) == ("features", "UINT8", [16, 16, 4])
    assert features["data"] == quanta.tolist() * 256
    assert average == {"name": "average", "datatype": "UINT8", "shape": [1, 1, 3], "data": mean.tolist()}
    assert tensors(served, image, "?outputs=average") == [average]
    assert tensors(served, image, "?outputs=average,features") == [features, average]
    for names in ("no", "", "average,", "averag"):
        refused(tensors(served, image, "?outputs=" + names), 'the model "two" has no output')
    scores, = tensors(served, image, model="colours")
    assert scores["name"] == "scores" and scores["shape"] == [4]


# ---- what they are ----

def described(served, path="", model="toy"):
    return served.request("GET", f"/v2/models/{model}{path}").json


@pytest.mark.parametrize("query,names", [("", list(SHAPES)), ("?outputs=all", list(SHAPES)),
                                         ("?outputs=rows,map:0", ["rows", "map:0"]), ("?outputs=map%3A0", ["map:0"])])
def test_metadata(served, query, names):
    want = [{"name": n, "datatype": KINDS[n], "shape": SHAPES[n]} for n in names]
    assert described(served, query)["outputs"] == want
    config = described(served, "/config" + query)["output"]
    assert [(o["name"], o["data_type"], o["dims"]) for o in config] == \
        [(n, "TYPE_" + KINDS[n], SHAPES[n][1:]) for n in names]


def test_metadata_over_grpc(client):
    outputs = client.call("ModelMetadata", name="toy").outputs
    assert [(o.name, o.datatype, list(o.shape)) for o in outputs] == [(n, KINDS[n], s) for n, s in SHAPES.items()]
    config = client.call("ModelConfig", name="toy").config.output
    assert [(o.name, list(o.dims)) for o in config] == [(n, s[1:]) for n, s in SHAPES.items()]
    assert {o.name: o.data_type for o in config}["quanta"] == client.pb.inference.TYPE_INT8


def test_metadata_of_tensorflow_serving(served):
    outputs = served.request("GET", "/v1/models/toy/metadata").json["metadata"]["signature_def"]["signature_def"][
        "serving_default"]["outputs"]
    assert {n: o["dtype"] for n, o in outputs.items()} == {"map:0": "DT_FLOAT", "quanta": "DT_INT8", "rows": "DT_FLOAT"}
    assert {n: [int(d["size"]) for d in o["tensor_shape"]["dim"]] for n, o in outputs.items()} == SHAPES


# ---- what they say ----

def test_json(served):
    r = post(served, {"inputs": [given()]}, "/v2/models/toy/infer")
    assert r.status == 200, r.body
    check(r.json["outputs"])
    again = post(served, {"inputs": [given()]}, "/v2/models/toy/infer")  # from the cache
    check(again.json["outputs"])


@pytest.mark.parametrize("names", [["quanta"], ["rows", "quanta"], ["rows", "map:0", "quanta"]])
def test_chosen_in_the_message_or_the_query(served, names):
    r = post(served, {"inputs": [given()], "outputs": [{"name": n} for n in names]}, "/v2/models/toy/infer?outputs=all")
    check(r.json["outputs"], names)
    check(post(served, {"inputs": [given()]}, f"/v2/models/toy/infer?outputs={','.join(names)}").json["outputs"], names)


def test_binary(served):
    tensor, data = binary(X)
    outputs = [{"name": n, "parameters": {"binary_data": True}} for n in SHAPES]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    r = served.request("POST", "/v2/models/toy/infer", head + data, {"Inference-Header-Content-Length": str(len(head))})
    assert r.status == 200, r.body
    said, raw = split(r)
    for o in said["outputs"]:
        assert (np.frombuffer(raw[o["name"]], TYPES[o["datatype"]]).reshape(o["shape"]) == WANT[o["name"]]).all()


def test_a_raw_body(served):
    r = served.request("POST", "/v2/models/toy/infer?outputs=quanta", X[:1].tobytes(), {"Inference-Header-Content-Length": "0"})
    assert np.frombuffer(split(r)[1]["quanta"], np.int8).tolist() == WANT["quanta"][0].tolist()


def asked(pb, names=(), x=X, model="toy"):  # noqa: F811
    request = pb.inference.ModelInferRequest(model_name=model, raw_input_contents=[x.tobytes()])
    request.inputs.add(name="input", datatype="FP32", shape=x.shape)
    for name in names:
        request.outputs.add(name=name)
    return request


def check_message(answer, names=tuple(SHAPES)):
    assert [o.name for o in answer.outputs] == list(names)
    for o, raw in zip(answer.outputs, answer.raw_output_contents):
        assert o.datatype == KINDS[o.name]
        assert (np.frombuffer(raw, TYPES[o.datatype]).reshape(list(o.shape)) == WANT[o.name]).all()


def test_grpc(client, pb):  # noqa: F811
    check_message(client.infer(asked(pb)))
    check_message(client.infer(asked(pb, ["quanta", "map:0"])), ["quanta", "map:0"])


def test_grpc_stream(client, pb):  # noqa: F811
    questions = [asked(pb), asked(pb, ["none"]), asked(pb, ["rows"])]
    answers = list(client.stream_infer(iter(questions), timeout=60))
    check_message(answers[0].infer_response)
    assert "'none'" in answers[1].error_message
    check_message(answers[2].infer_response, ["rows"])


def test_tensorflow_serving(served):
    def predict(query="", **more):
        return served.request("POST", "/v1/models/toy:predict" + query,
                              json.dumps({"instances": X.tolist(), **more})).json

    rows = predict()["predictions"]
    for name, want in WANT.items():  # lists in lists, as deep as the tensor
        assert [row[name] for row in rows] == want.tolist()
    assert predict(signature_name="quanta") == {"predictions": WANT["quanta"].tolist()}
    assert predict("?outputs=map:0") == {"predictions": WANT["map:0"].tolist()}
    columns = served.request("POST", "/v1/models/toy:predict", json.dumps({"inputs": X.tolist()})).json["outputs"]
    assert columns == {name: want.tolist() for name, want in WANT.items()}


@pytest.mark.parametrize("name", ["no", "logits", "probabilities", ""])
def test_no_such_output(served, client, pb, name):  # noqa: F811
    if name:
        refused(post(served, {"inputs": [given()], "outputs": [{"name": name}]}, "/v2/models/toy/infer"),
                f"unexpected inference output '{name}' for model 'toy'")
        code, text = code_of(client.infer, asked(pb, [name]))
        assert code == grpc.StatusCode.INVALID_ARGUMENT and name in text
    for path in ("/v2/models/toy", "/v2/models/toy/config"):
        refused(served.request("GET", f"{path}?outputs=rows,{name}"), f"output '{name}'")
    refused(post(served, {"inputs": [given()]}, f"/v2/models/toy/infer?outputs={name}"), f"output '{name}'")
    refused(served.request("GET", "/v2/models/toy?outputs=rows,rows"), "'rows' is given twice")


# ---- the other models ----

def two(rgb):
    pixel = np.asarray(rgb, float)
    quanta = np.rint(np.clip(tinymodel.WEIGHTS @ (pixel - 128) / 128 / tinymodel.OUT_SCALE + 128, 0, 255))
    return quanta, pixel


def test_a_tflite_file_of_two(served, client, pb):  # noqa: F811
    rgb = (200, 30, 90)
    image = pictures.plain(rgb, (16, 16))
    quanta, mean = two(rgb)
    assert [(o["name"], o["datatype"], o["shape"]) for o in described(served, model="two")["outputs"]] == \
        [("features", "UINT8", [-1, 16, 16, 4]), ("average", "UINT8", [-1, 1, 1, 3])]
    tensor, data = binary(image, "BYTES")
    data = elements(image)
    tensor["parameters"]["binary_data_size"] = len(data)
    head = json.dumps({"inputs": [tensor]}).encode()
    r = served.request("POST", "/v2/models/two/infer", head + data, {"Inference-Header-Content-Length": str(len(head))})
    features, average = r.json["outputs"]
    assert average["data"] == mean.tolist() and average["shape"] == [1, 1, 1, 3]
    assert (np.array(features["data"]).reshape(-1, 4) == quanta).all()
    request = pb.inference.ModelInferRequest(model_name="two", raw_input_contents=[data])
    request.inputs.add(name="input", datatype="BYTES", shape=[1])
    request.outputs.add(name="average")
    answer = client.infer(request)
    assert list(answer.raw_output_contents[0]) == mean.tolist()
    refused(served.request("PUT", "/v1/models/two/classify", image), "is no classifier")


def test_a_classifier_keeps_its_file_s_output_by_name(served):
    def ask(*outputs):
        body = {"inputs": [{"name": "input", "shape": [1, 16, 16, 3], "datatype": "UINT8", "data": [200, 30, 90] * 256}],
                "outputs": list(outputs)}
        r = post(served, body, "/v2/models/colours/infer")
        assert r.status == 200, r.body
        return r.json["outputs"]

    ours, file = ask({"name": "probabilities"}, {"name": "scores"})
    assert file["datatype"] == "UINT8" and file["shape"] == [1, 4]
    assert np.array(file["data"]) / 256 == pytest.approx(ours["data"], abs=1 / 256)
    best, = ask({"name": "scores", "parameters": {"classification": 1}})
    assert best["data"] == [f"{max(file['data'])}.000000:1:red"]
    assert [o["name"] for o in described(served, model="colours")["outputs"]] == ["probabilities"]


def test_what_each_is_for(served):
    tasks = {m["name"]: m["task"] for m in served.request("GET", "/v1/models").json["models"]}
    assert tasks == {"toy": "tensors", "mapped": "tensors", "two": "tensors", "map": "tensors", "colours": "classify",
                     "plain_scores": "tensors", "plain_map": "tensors", "vector": "embed"}


def test_a_named_main_output_is_not_the_only_one(served):
    assert [o["name"] for o in described(served, model="mapped")["outputs"]] == list(SHAPES)
    check(post(served, {"inputs": [given()]}, "/v2/models/mapped/infer").json["outputs"])


def test_one_output_that_is_no_row_of_scores(served):
    assert described(served, model="map")["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 1024]}]
    assert described(served, "?outputs=features", "map")["outputs"] == [
        {"name": "features", "datatype": "UINT8", "shape": [-1, 16, 16, 4]}]


def test_a_manifest_may_want_them_as_they_are(served):
    """task: tensors. No classes then, though there is a row of scores, and no row of floats in place of the file's."""
    for model, name, kind, shape in (("plain_scores", "scores", "UINT8", [-1, 4]), ("plain_map", "features", "UINT8", [-1, 16, 16, 4])):
        assert described(served, model=model)["outputs"] == [{"name": name, "datatype": kind, "shape": shape}]
        assert described(served, "?outputs=all", model)["outputs"] == [{"name": name, "datatype": kind, "shape": shape}]
        refused(served.request("GET", f"/v2/models/{model}?outputs=logits"), "output 'logits'")
        refused(served.request("PUT", f"/v1/models/{model}/classify", pictures.RED),
                "is no classifier: model.json says that its task is tensors")
