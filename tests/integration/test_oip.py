"""Open Inference Protocol v2 over HTTP: every way to send a picture, every output, and what is refused."""
import base64
import gzip
import json
import struct
import zlib

import numpy as np
import pytest

import pictures
import tinymodel
from pictures import BLUE, GREEN, RED, RED_JPEG

pytestmark = pytest.mark.patient

COLOUR = (200, 30, 90)
PICTURE = pictures.plain(COLOUR, (16, 16))
INFER = "/v2/models/colour_16/infer"


def pixels(*colours, side=16):
    return np.stack([np.full((side, side, 3), c, np.uint8) for c in colours])


def normalised(px):
    return ((px.astype(np.float32) - 128) / 128).astype(np.float32)


def tensor(array, **more):
    kind = {"uint8": "UINT8", "float32": "FP32"}[str(array.dtype)]
    return {"name": "input", "shape": list(array.shape), "datatype": kind, "data": array.ravel().tolist(), **more}


def pictures_of(*images):
    return {"name": "input", "shape": [len(images)], "datatype": "BYTES",
            "data": [base64.b64encode(i).decode() for i in images]}


def binary(array, datatype=None):
    data = array if isinstance(array, bytes) else array.tobytes()
    shape = [1] if isinstance(array, bytes) else list(array.shape)
    kind = datatype or {"uint8": "UINT8", "float32": "FP32"}[str(array.dtype)]
    return {"name": "input", "shape": shape, "datatype": kind, "parameters": {"binary_data_size": len(data)}}, data


def elements(*items):
    return b"".join(struct.pack("<I", len(i)) + i for i in items)


def post(d, request, path=INFER, headers=None):
    body = request if isinstance(request, bytes) else json.dumps(request)
    return d.request("POST", path, body, headers or {})


def infer(d, given, *outputs, path=INFER, **more):
    request = {"inputs": [given], **more}
    if outputs:
        request["outputs"] = [{"name": o} if isinstance(o, str) else o for o in outputs]
    r = post(d, request, path)
    assert r.status == 200, r.body
    return r.json


def infer_binary(d, given, data, *outputs, path=INFER, **more):
    head = json.dumps({"inputs": [given], **({"outputs": list(outputs)} if outputs else {}), **more}).encode()
    return d.request("POST", path, head + data, {"Inference-Header-Content-Length": str(len(head))})


def split(r):
    """JSON and tensors of an answer with binary data."""
    n = int(r.headers["Inference-Header-Content-Length"])
    head, at, tensors = json.loads(r.body[:n]), n, {}
    for o in head["outputs"]:
        size = o.get("parameters", {}).get("binary_data_size")
        if size is not None:
            tensors[o["name"]] = r.body[at:at + size]
            at += size
    assert at == len(r.body)
    return head, tensors


def values(answer, name="probabilities"):
    o = next(o for o in answer["outputs"] if o["name"] == name)
    return np.array(o["data"], np.float32).reshape(o["shape"])


def refused(r, *words, status=400):
    assert r.status == status, (r.status, r.body)
    for word in words:
        assert word in r.json["error"], r.json


# ---- the ways in ----

def test_every_way_in_gives_the_same_digits(tiny):
    px = pixels(COLOUR)
    want = values(infer(tiny, tensor(px), "probabilities"))
    assert want[0] == pytest.approx(tinymodel.scores(COLOUR), abs=1e-3)
    planes = np.ascontiguousarray(px.transpose(0, 3, 1, 2))
    ways = [tensor(planes), tensor(normalised(px)), tensor(normalised(planes)), pictures_of(PICTURE)]
    for way in ways:
        assert (values(infer(tiny, way, "probabilities")) == want).all(), way["datatype"]
    nested = dict(tensor(px), data=px.tolist())
    assert (values(infer(tiny, nested, "probabilities")) == want).all()
    url = dict(pictures_of(PICTURE), data=["data:image/png;base64," + base64.b64encode(PICTURE).decode()])
    assert (values(infer(tiny, url, "probabilities")) == want).all()
    for array in (px, planes, normalised(px), PICTURE):
        given, data = binary(array, "BYTES" if array is PICTURE else None)
        if array is PICTURE:
            data = elements(PICTURE)
            given["parameters"]["binary_data_size"] = len(data)
        r = infer_binary(tiny, given, data, {"name": "probabilities"})
        assert r.status == 200, r.body
        assert (values(r.json) == want).all()
    top = tiny.request("PUT", "/v1/models/colour_16/classify", PICTURE).json["predictions"]
    for p in top:
        assert np.float32(p["score"]) == want[0][p["class"] + 1]


@pytest.mark.parametrize("size_said", [True, False])
def test_a_bare_picture_as_bytes(tiny, size_said):
    given, data = binary(RED, "BYTES")
    if not size_said:
        del given["parameters"]
    r = infer_binary(tiny, given, data, {"name": "classification"})
    assert r.status == 200 and r.json["outputs"][0]["data"][0].endswith(":1:red"), r.body


def test_several_pictures_are_a_batch(tiny):
    a = infer(tiny, pictures_of(RED, GREEN, BLUE, RED_JPEG), {"name": "classification", "parameters": {"classification": 1}})
    o = a["outputs"][0]
    assert o["datatype"] == "BYTES" and o["shape"] == [4, 1]
    assert [s.split(":")[2] for s in o["data"]] == ["red", "green", "blue", "red"]
    px = pixels((255, 0, 0), (0, 255, 0), (0, 0, 255))
    assert values(infer(tiny, tensor(px), "probabilities")).argmax(axis=1).tolist() == [1, 2, 3]


@pytest.mark.parametrize("body", [RED, RED_JPEG, pixels((255, 0, 0)).tobytes(), normalised(pixels((255, 0, 0))).tobytes()])
def test_a_raw_body_is_the_input(tiny, body):
    r = tiny.request("POST", INFER + "?outputs=all", body, {"Inference-Header-Content-Length": "0"})
    assert r.status == 200 and r.headers["Content-Type"] == "application/octet-stream"
    head, tensors = split(r)
    assert [o["name"] for o in head["outputs"]] == ["logits", "probabilities", "classification"]
    assert np.frombuffer(tensors["probabilities"], "<f4").argmax() == 1
    length, = struct.unpack_from("<I", tensors["classification"])
    assert tensors["classification"][4:4 + length].endswith(b":1:red")


def test_without_content_type_and_with_a_query(tiny):
    r = post(tiny, {"inputs": [pictures_of(RED)]}, INFER + "?test_1=1&test_2=2")
    assert r.status == 200


def test_version_and_family(tiny):
    r = post(tiny, {"inputs": [pictures_of(RED)], "id": "a\"b"}, "/v2/models/colour/versions/1/infer")
    a = r.json
    assert (a["id"], a["model_name"], a["model_version"]) == ('a"b', "colour", "1")


@pytest.mark.parametrize("path", ["/v2/models/nobody/infer", "/v2/models/colour/versions/9/infer"])
def test_unknown_model(tiny, path):
    refused(post(tiny, {"inputs": [pictures_of(RED)]}, path), "Request for unknown model: ", "is not found", status=404)


# ---- outputs ----

def test_outputs(tiny):
    a = infer(tiny, tensor(pixels(COLOUR)), path=INFER + "?outputs=all")
    assert [(o["name"], o["datatype"], o["shape"]) for o in a["outputs"]] == [
        ("logits", "FP32", [1, 4]), ("probabilities", "FP32", [1, 4]), ("classification", "BYTES", [1, 3])]
    logits, p = values(a, "logits")[0].astype(float), values(a)[0]
    assert p == pytest.approx(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum(), abs=1e-6)
    strings = next(o["data"] for o in a["outputs"] if o["name"] == "classification")
    order = sorted(range(1, 4), key=lambda i: (-p[i], i))  # the background class is never ranked
    assert strings == [f"{p[i]:.6f}:{i}:{tinymodel.LABELS[i]}" for i in order]


@pytest.mark.parametrize("k, got", [(1, 1), (3, 3), (4, 4), (1000000, 4)])
def test_classification_of_a_tensor(tiny, k, got):
    a = infer(tiny, tensor(pixels(COLOUR, (0, 0, 255))), {"name": "logits", "parameters": {"classification": k}})
    o = a["outputs"][0]
    assert o["shape"] == [2, got] and len(o["data"]) == 2 * got and o["datatype"] == "BYTES"
    assert o["data"][got].split(":")[1:] == ["3", "blue"]


def test_ties_go_to_the_lower_index(tiny):
    a = infer(tiny, tensor(pixels((90, 90, 90))), {"name": "probabilities", "parameters": {"classification": 4}})
    ranks = a["outputs"][0]["data"]
    by_value = {}
    for s in ranks:
        by_value.setdefault(s.split(":")[0], []).append(int(s.split(":")[1]))
    assert all(indices == sorted(indices) for indices in by_value.values())


def test_binary_outputs(tiny):
    given, data = binary(pixels(COLOUR))
    text = infer(tiny, tensor(pixels(COLOUR)), "logits", "probabilities")
    r = infer_binary(tiny, given, data, {"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "logits"})
    head, tensors = split(r)
    assert (np.frombuffer(tensors["probabilities"], "<f4") == values(text)[0]).all()
    assert (values(head, "logits") == values(text, "logits")).all()
    for path, shown in ((INFER, {"probabilities"}), (INFER + "?outputs=all", {"logits", "probabilities", "classification"})):
        r = infer_binary(tiny, given, data, path=path, parameters={"binary_data_output": True})
        assert set(split(r)[1]) == shown


def test_embedding(real):
    a = infer(real, pictures_of(RED), "embedding", "logits", path="/v2/models/mobilenet_v1_0.25_128/infer")
    assert values(a, "embedding").shape == (1, 256) and values(a, "logits").shape == (1, 1001)


# ---- parameters ----

@pytest.mark.parametrize("parameters", [{"priority": 1, "timeout": 5000000, "binary_data_output": False, "foo": 1},
                                        {"priority": 99}, {"priority": 0}, {"timeout": 2 ** 62}])
def test_parameters(tiny, parameters):
    infer(tiny, pictures_of(RED), "logits", parameters=parameters)


def test_timeout_passes(tiny):
    r = post(tiny, {"inputs": [pictures_of(RED)], "parameters": {"timeout": 1}})
    refused(r, "deadline", status=504)


@pytest.mark.parametrize("parameters", [{"triton_x": 1}, {"priority": -1}, {"timeout": "soon"}, {"a": None},
                                        {"a": [1]}, {"binary_data_output": 1}])
def test_bad_parameters(tiny, parameters):
    refused(post(tiny, {"inputs": [pictures_of(RED)], "parameters": parameters}))


# ---- codings ----

@pytest.mark.parametrize("coding, pack", [("gzip", gzip.compress), ("deflate", zlib.compress),
                                          ("deflate", lambda b: zlib.compress(b)[2:-4]), ("identity", bytes)])
def test_content_encoding(tiny, coding, pack):
    body = json.dumps({"inputs": [tensor(pixels(COLOUR))]}).encode()
    r = tiny.request("POST", INFER, pack(body), {"Content-Encoding": coding})
    assert r.status == 200 and (values(r.json) == values(infer(tiny, tensor(pixels(COLOUR))))).all()
    r = tiny.request("PUT", "/v1/classify", pack(RED), {"Content-Encoding": coding})
    assert r.status == 200 and r.top["label"] == "red"


@pytest.mark.parametrize("body", [b"nothing packed", gzip.compress(b"{}")[:-3], gzip.compress(b"{}") + b"x", b""])
def test_broken_gzip(tiny, body):
    refused(tiny.request("POST", INFER, body, {"Content-Encoding": "gzip"}), "Content-Encoding")


def test_gzip_bomb(tiny):
    body = gzip.compress(bytes(200 << 20))
    assert len(body) < 1 << 20
    refused(tiny.request("POST", INFER, body, {"Content-Encoding": "gzip"}), status=413)


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd", "x"])
def test_unknown_coding(tiny, coding):
    r = tiny.request("POST", INFER, b"{}", {"Content-Encoding": coding})
    refused(r, "Content-Encoding", status=415)
    assert r.headers["Accept-Encoding"] == "gzip, deflate"


# ---- what is refused ----

@pytest.mark.parametrize("shape", [[-1, 16, 16, 3], [1, -16, -16, 3], [2 ** 62, 16, 16, 3], [2 ** 63, 16, 16, 3],
                                   [2 ** 32, 2 ** 32, 1, 1], [1, 16, 16], [16, 16, 3], [1, 16, 16, 4], [1, 17, 16, 3],
                                   [0, 16, 16, 3], [], [1] * 9, [1, 3, 16, 17], [2, 16, 16, 3], [1.5, 16, 16, 3],
                                   ["1", 16, 16, 3], None, "x"])
@pytest.mark.parametrize("packed", [False, True])
def test_bad_shapes(tiny, shape, packed):
    px = pixels(COLOUR)
    if packed:
        given, data = binary(px)
        refused(infer_binary(tiny, dict(given, shape=shape), data))
    else:
        refused(post(tiny, {"inputs": [dict(tensor(px), shape=shape)]}))


@pytest.mark.parametrize("change, word", [
    ({"name": "x"}, "unexpected inference input 'x'"), ({"datatype": "INT64"}, "unexpected datatype 'INT64'"),
    ({"datatype": "fp32"}, "datatype"), ({"datatype": "FP16"}, "FP16"), ({"name": ""}, "name"),
    ({"data": [1] * 767}, "768"), ({"data": [1] * 769}, "768"), ({"data": [256] * 768}, ""), ({"data": [-1] * 768}, ""),
    ({"data": ["1"] * 768}, ""), ({"data": [1.5] * 768}, ""), ({"data": "x"}, ""), ({"data": None}, ""),
    ({"parameters": {"shared_memory_region": "x"}}, "shared memory"),
    ({"parameters": {"binary_data_size": 768}}, "both")])
def test_bad_inputs(tiny, change, word):
    refused(post(tiny, {"inputs": [dict(tensor(pixels(COLOUR)), **change)]}), word)


@pytest.mark.parametrize("missing", ["name", "shape", "datatype", "data"])
def test_missing_member(tiny, missing):
    given = tensor(pixels(COLOUR))
    del given[missing]
    refused(post(tiny, {"inputs": [given]}))


@pytest.mark.parametrize("request_", [
    {}, {"inputs": []}, {"inputs": {}}, [], "x", {"inputs": [1]}, {"inputs": [tensor(pixels(COLOUR))] * 2},
    {"inputs": [tensor(pixels(COLOUR)), dict(tensor(pixels(COLOUR)), name="b")]},
    {"inputs": [tensor(pixels(COLOUR))], "outputs": [{"name": "logits"}] * 2},
    {"inputs": [tensor(pixels(COLOUR))], "outputs": [{"name": "x"}]},
    {"inputs": [tensor(pixels(COLOUR))], "outputs": [{}]},
    {"inputs": [tensor(pixels(COLOUR))], "outputs": [{"name": "embedding"}]},
    {"inputs": [tensor(pixels(COLOUR))], "outputs": [{"name": "logits", "parameters": {"classification": -1}}]},
    {"inputs": [tensor(pixels(COLOUR))], "id": 7}])
def test_bad_requests(tiny, request_):
    refused(post(tiny, request_))


@pytest.mark.parametrize("body", [b"", b"{", b'{"inputs":[' + b"[" * 100000, b"{\"a\":" * 5000, b"\xff\xfe", b"nul\0l",
                                  b'{"inputs":[{"name":"input","shape":[1,16,16,3],"datatype":"FP32","data":' + b"[" * 50000])
def test_not_json(tiny, body):
    refused(post(tiny, body))


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999", "99999999999999999999", "", "1 2"])
def test_bad_header_length(tiny, length):
    given, data = binary(pixels(COLOUR))
    head = json.dumps({"inputs": [given]}).encode()
    refused(tiny.request("POST", INFER, head + data, {"Inference-Header-Content-Length": length}))


@pytest.mark.parametrize("size, more", [(767, b""), (769, b""), (768, b"x"), (2 ** 63 - 1, b""), (-1, b""), (0, b"")])
def test_bad_binary_size(tiny, size, more):
    given, data = binary(pixels(COLOUR))
    given["parameters"]["binary_data_size"] = size
    refused(infer_binary(tiny, given, data + more))


@pytest.mark.parametrize("data", [b"", b"\1", elements(RED)[:-1], elements(RED) + b"x", elements(RED, RED),
                                  b"\xff\xff\xff\xff" + RED])
def test_bad_bytes_elements(tiny, data):
    given = {"name": "input", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}
    refused(infer_binary(tiny, given, data))


@pytest.mark.parametrize("data", [["%%%"], ["data:image/png,abc"], ["data:;base64"], [1], [], ["YQ=="] * 2, [["YQ=="], "YQ=="]])
def test_bad_base64(tiny, data):
    refused(post(tiny, {"inputs": [{"name": "input", "shape": [1], "datatype": "BYTES", "data": data}]}))


@pytest.mark.parametrize("picture, status", [(b"just text", 415), (RED[:60], 422), (b"", 422),
                                             (pictures.lying_png(60000, 60000), 413)])
def test_bad_pictures(tiny, picture, status):
    refused(post(tiny, {"inputs": [pictures_of(picture)]}), status=status)
    refused(post(tiny, {"inputs": [pictures_of(RED, picture)]}), "image 2 of 2", status=status)


def test_too_many_pictures(tiny):
    refused(post(tiny, {"inputs": [pictures_of(*[RED] * 65)]}), "batch-size must be <= 64")
    px = pixels(*[COLOUR] * 65)
    given, data = binary(px)
    refused(infer_binary(tiny, given, data), "batch-size must be <= 64")


def test_a_dtype_that_would_expand_memory(tiny):
    request = {"inputs": [{"name": "input", "shape": [64, 16, 16, 3], "datatype": "FP32", "data": [0]}]}
    refused(post(tiny, request), "elements")


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_not_numbers_leave_the_neighbours_alone(tiny, bad):
    px = normalised(pixels(COLOUR, COLOUR, COLOUR))
    want = values(infer(tiny, tensor(px[:1]), "logits"), "logits")[0]
    text = json.dumps({"inputs": [tensor(px)], "outputs": [{"name": "logits"}]})
    numbers = text.split('"data": [')[1].split("]")[0].split(", ")
    numbers[768:1536] = [bad] * 768
    head, tail = text.split('"data": [')
    r = post(tiny, (head + '"data": [' + ", ".join(numbers) + tail[tail.index("]"):]).encode())
    assert r.status == 200, r.body
    got = values(r.json, "logits")
    assert (got[0] == want).all() and (got[2] == want).all()


def test_thousands_of_chunks(tiny):
    body = json.dumps({"inputs": [tensor(normalised(pixels(COLOUR)))], "outputs": [{"name": "logits"}]}).encode()
    connection = tiny.connect()
    connection.request("POST", INFER, (body[i:i + 1] for i in range(len(body))), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    r = connection.getresponse()
    assert r.status == 200
    assert values(json.loads(r.read()), "logits").shape == (1, 4)
    connection.close()


def test_a_client_that_leaves_in_the_middle(tiny):
    body = json.dumps({"inputs": [tensor(normalised(pixels(*[COLOUR] * 60)))]}).encode()
    for cut in (10, len(body) // 2, len(body)):
        with tiny.socket() as s:
            s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (INFER.encode(), len(body)) + body[:cut])
    assert tiny.classify(RED).status == 200


def test_wrong_method(tiny):
    r = tiny.request("GET", INFER)
    assert r.status == 405 and r.headers["Allow"] == "POST"
