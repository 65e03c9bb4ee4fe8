"""One picture through every door: the scores are equal, compared as floats without a tolerance."""
import base64
import gzip
import io
import json
import subprocess

import numpy as np
import pytest
from PIL import Image

import pictures
from daemon import BINARY

from test_grpc import Client, grpc, pb, texts  # noqa: F401
from test_oip import elements, split

pytestmark = pytest.mark.patient



def reddish(width=300, height=200):
    """Noise over a gradient: costs to decode, and no two classes are equally likely."""
    noise = np.random.default_rng(5).integers(0, 60, (height, width, 3))
    ramp = np.linspace(0, 60, width)[None, :, None] * [1.0, 0.5, 0.1]
    return pictures.encode(Image.fromarray((noise + ramp + [100, 40, 10]).astype(np.uint8)), "JPEG", quality=90)


PHOTO = reddish()
B64 = base64.b64encode(PHOTO).decode()
URL = "data:image/jpeg;base64," + B64
JSON, LINES = {"Content-Type": "application/json"}, {"Content-Type": "application/x-ndjson"}
OFFSET = 1  # of class numbers to indices, in all models of this file


class House:
    """A daemon and one of its models."""

    def __init__(self, daemon, model, pb):  # noqa: F811
        self.daemon, self.model, self.pb = daemon, model, pb
        self.rpc = Client(daemon, pb)
        self.want = self.oip()
        assert len(set(self.want)) >= min(len(self.want), 50)  # equal ones would prove nothing
        self.tensor = np.load(io.BytesIO(self.ask("PUT", f"/v1/models/{model}/preprocess?as=npy", PHOTO).body))
        assert self.tensor.dtype == np.uint8

    def ask(self, method, path, body, headers=None):
        r = self.daemon.request(method, path, body, headers)
        assert r.status == 200, (r.status, r.body)
        return r

    # Every way below answers with rows: {index of the tensor: score}, of all classes or of the best.

    def image(self, body, headers=None, method="POST", path=None):
        r = self.ask(method, path or f"/v1/models/{self.model}/classify?top_k=1000", body, headers)
        answers = [json.loads(line) for line in r.body.splitlines()]
        rows = [one for a in answers for one in a.get("results", [a])]
        return [{p["class"] + OFFSET: p["score"] for p in row["predictions"]} for row in rows]

    def over_http2(self):
        done = subprocess.run(["curl", "-fsS", "--http2-prior-knowledge", "-X", "PUT", "--data-binary", "@-", "--max-time", "20",
                               f"http://127.0.0.1:{self.daemon.grpc_port}/v1/models/{self.model}/classify?top_k=1000"],
                              input=PHOTO, capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return [{p["class"] + OFFSET: p["score"] for p in json.loads(done.stdout)["predictions"]}]

    def oip(self, given=None, headers=None, path=None, pack=bytes):
        given = given or {"shape": [1], "datatype": "BYTES", "data": [B64]}
        body = {"inputs": [{"name": "input", **given}], "outputs": [{"name": "probabilities"}]}
        r = self.ask("POST", path or f"/v2/models/{self.model}/infer", pack(json.dumps(body).encode()), headers)
        return r.json["outputs"][0]["data"]

    def packed(self, data, given, binary=False):
        out = {"name": "probabilities", **({"parameters": {"binary_data": True}} if binary else {})}
        head = json.dumps({"inputs": [{"name": "input", **given}], "outputs": [out]}).encode()
        r = self.ask("POST", f"/v2/models/{self.model}/infer", head + data,
                     {"Inference-Header-Content-Length": str(len(head))})
        return np.frombuffer(split(r)[1]["probabilities"], "<f4") if binary else r.json["outputs"][0]["data"]

    def bare(self, body):
        r = self.ask("POST", f"/v2/models/{self.model}/infer", body, {"Inference-Header-Content-Length": "0"})
        return np.frombuffer(split(r)[1]["probabilities"], "<f4")

    def tfs(self, request, path=":predict"):
        a = self.ask("POST", f"/v1/models/{self.model}{path}", json.dumps(request)).json
        return [row for row in a.get("predictions") or a["outputs"]]

    def request(self, given, raw=None, outputs=("probabilities",), version=""):
        request = self.pb.inference.ModelInferRequest(model_name=self.model, model_version=version)
        tensor = request.inputs.add(name="input", **given)
        for field, items in (raw if isinstance(raw, dict) else {}).items():
            getattr(tensor.contents, field).extend(items)
        if isinstance(raw, bytes):
            request.raw_input_contents.append(raw)
        for name in outputs:
            request.outputs.add(name=name)
        return request

    def grpc(self, given, raw, **options):
        a = self.rpc.infer(self.request(given, raw), **options)
        return np.frombuffer(a.raw_output_contents[0], "<f4")

    def stream(self, n):
        one = self.request({"datatype": "BYTES", "shape": [1]}, {"bytes_contents": [PHOTO]})
        answers = list(self.rpc.stream_infer(iter([one] * n), timeout=60))
        assert not any(a.error_message for a in answers)
        return [np.frombuffer(a.infer_response.raw_output_contents[0], "<f4") for a in answers]


@pytest.fixture(scope="module")
def houses(pb):  # noqa: F811
    """By name, each made once."""
    made = {}

    def get(name, daemon):
        if name not in made:
            made[name] = House(daemon, {"tiny": "colour_16", "real": "mobilenet_v1_0.25_128"}[name], pb)
        return made[name]

    yield get
    for house in made.values():
        house.rpc.channel.close()


@pytest.fixture(params=["tiny", "real"])
def house(request, houses):
    """The daemon is asked for here: a skip within a fixture that is still being asked breaks pytest 7.2 for all who follow."""
    return houses(request.param, request.getfixturevalue(request.param))


FORM = pictures.multipart([("image", "a.jpg", PHOTO)])
FORM_OF_TWO = pictures.multipart([("a", "a.jpg", PHOTO), ("b", "b.jpg", PHOTO)])
LINE = json.dumps({"id": 1, "image": B64}) + "\n"

RANKED = {
    "PUT": lambda h: h.image(PHOTO, method="PUT"),
    "POST": lambda h: h.image(PHOTO),
    "POST with a type": lambda h: h.image(PHOTO, {"Content-Type": "image/jpeg"}),
    "chunked": lambda h: h.image(iter([PHOTO[:1000], PHOTO[1000:]])),
    "gzip": lambda h: h.image(gzip.compress(PHOTO), {"Content-Encoding": "gzip"}),
    "version": lambda h: h.image(PHOTO, path=f"/v1/models/{h.model}/versions/1/classify?top_k=1000"),
    "label": lambda h: h.image(PHOTO, path=f"/v1/models/{h.model}/versions/stable/classify?top_k=1000"),
    "query": lambda h: h.image(PHOTO, path=f"/v1/classify?top_k=1000&model={h.model}"),
    "multipart": lambda h: h.image(FORM[0], {"Content-Type": FORM[1]}),
    "multipart of two": lambda h: h.image(FORM_OF_TWO[0], {"Content-Type": FORM_OF_TWO[1]}),
    "JSON": lambda h: h.image(json.dumps({"image": B64}), JSON),
    "JSON object": lambda h: h.image(json.dumps({"image": {"b64": B64}}), JSON),
    "data: URL": lambda h: h.image(json.dumps({"image": URL}), JSON),
    "JSON list": lambda h: h.image(json.dumps({"images": [B64, URL, B64]}), JSON),
    "lines": lambda h: h.image(LINE * 3, LINES),
    "HTTP/2": lambda h: h.over_http2(),
}


@pytest.mark.parametrize("door", RANKED)
def test_image_api(house, door):
    rows = RANKED[door](house)
    assert rows
    for row in rows:
        assert len(row) == min(len(house.want) - OFFSET, 1000)
        for index, score in row.items():
            assert score == house.want[index], index


PICTURE = {"datatype": "BYTES", "shape": [1]}


def pixels(h):
    return {"datatype": "UINT8", "shape": list(h.tensor.shape)}


def planes(h):
    return np.ascontiguousarray(h.tensor.transpose(0, 3, 1, 2))


WHOLE = {
    "OIP: data: URL": lambda h: [h.oip({**PICTURE, "data": [URL]})],
    "OIP: version": lambda h: [h.oip(path=f"/v2/models/{h.model}/versions/1/infer")],
    "OIP: gzip": lambda h: [h.oip(pack=gzip.compress, headers={"Content-Encoding": "gzip"})],
    "OIP: pixels": lambda h: [h.oip({**pixels(h), "data": h.tensor.tolist()})],
    "OIP: planes": lambda h: [h.oip({"datatype": "UINT8", "shape": list(planes(h).shape), "data": planes(h).ravel().tolist()})],
    "OIP binary: element": lambda h: [h.packed(elements(PHOTO), {**PICTURE, "parameters": {"binary_data_size": len(PHOTO) + 4}})],
    "OIP binary: picture": lambda h: [h.packed(PHOTO, {**PICTURE, "parameters": {"binary_data_size": len(PHOTO)}})],
    "OIP binary: no size": lambda h: [h.packed(PHOTO, PICTURE)],
    "OIP binary: both ways": lambda h: [h.packed(PHOTO, PICTURE, True)],
    "OIP binary: pixels": lambda h: [h.packed(h.tensor.tobytes(), pixels(h), True)],
    "OIP raw: picture": lambda h: [h.bare(PHOTO)],
    "OIP raw: pixels": lambda h: [h.bare(h.tensor.tobytes())],
    "TFS rows": lambda h: h.tfs({"instances": [{"b64": B64}] * 2}),
    "TFS rows of names": lambda h: h.tfs({"instances": [{"input": {"b64": B64}}]}),
    "TFS columns": lambda h: h.tfs({"inputs": {"input": [{"b64": B64}] * 2}}),
    "TFS column": lambda h: h.tfs({"inputs": [{"b64": B64}]}),
    "TFS version": lambda h: h.tfs({"instances": [{"b64": B64}]}, "/versions/1:predict"),
    "TFS label": lambda h: h.tfs({"instances": [{"b64": B64}]}, "/labels/stable:predict"),
    "TFS pixels": lambda h: h.tfs({"instances": h.tensor.tolist()}),
    "gRPC contents": lambda h: [h.grpc(PICTURE, {"bytes_contents": [PHOTO]})],
    "gRPC raw": lambda h: [h.grpc(PICTURE, elements(PHOTO))],
    "gRPC raw picture": lambda h: [h.grpc(PICTURE, PHOTO)],
    "gRPC gzip": lambda h: [h.grpc(PICTURE, PHOTO, compression=grpc.Compression.Gzip)],
    "gRPC deflate": lambda h: [h.grpc(PICTURE, PHOTO, compression=grpc.Compression.Deflate)],
    "gRPC pixels": lambda h: [h.grpc(pixels(h), h.tensor.tobytes())],
    "gRPC pixels in contents": lambda h: [h.grpc(pixels(h), {"uint_contents": h.tensor.ravel().tolist()})],
    "gRPC stream": lambda h: h.stream(5),
}


@pytest.mark.parametrize("door", WHOLE)
def test_whole_tensor(house, door):
    rows = WHOLE[door](house)
    assert rows
    want = np.array(house.want, np.float32)
    assert np.isfinite(want).all()
    for row in rows:
        got = np.array(row, np.float32)
        assert got.shape == want.shape and (got == want).all()
        if isinstance(row, list):  # as text: the digits themselves
            assert row == house.want


def test_classification_extension(house):
    """Six decimals, as Triton prints them, through each door that has it; in the same order."""
    k = 3
    best = sorted(range(OFFSET, len(house.want)), key=lambda i: (-np.float32(house.want[i]), i))[:k]
    request = house.request({"datatype": "BYTES", "shape": [1]}, PHOTO, ())
    request.outputs.add(name="classification").parameters["classification"].int64_param = k
    over_grpc = texts(house.rpc.infer(request))
    body = {"inputs": [{"name": "input", "shape": [1], "datatype": "BYTES", "data": [B64]}],
            "outputs": [{"name": "classification", "parameters": {"classification": k}}]}
    a = house.ask("POST", f"/v2/models/{house.model}/infer", json.dumps(body)).json["outputs"][0]["data"]
    assert a == over_grpc
    assert [s.split(":")[:2] for s in a] == [[f"{np.float32(house.want[i]):.6f}", str(i)] for i in best]


def test_tfs_classify(house):
    a = house.ask("POST", f"/v1/models/{house.model}:classify?top_k=5",
                  json.dumps({"examples": [{"image": {"b64": B64}}]})).json["results"][0]
    ours = house.ask("PUT", f"/v1/models/{house.model}/classify?top_k=5", PHOTO).json["predictions"]
    assert a == [[p["label"], p["score"]] for p in ours]


def test_command(house, request, tmp_path):
    """`mobilenetd classify`, which has no server behind it."""
    models = request.getfixturevalue("tiny_models" if house.model == "colour_16" else "real_models")
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(PHOTO)
    done = subprocess.run([BINARY, "classify", "--models", str(models), "--model", house.model, "--top-k", "5", "--json",
                           str(photo)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    predictions = json.loads(done.stdout)["predictions"]
    assert predictions and all(p["score"] == house.want[p["class"] + OFFSET] for p in predictions)
