"""Every file of ../shared/images/photos through every door: what its README says, and the same through all."""
import base64
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

import pictures
import reference
from test_grpc import Client, grpc, pb  # noqa: F401
from test_real import ANY_CLASS, PENGUIN, PHOTOS, photo, statuses

pytestmark = pytest.mark.patient

MODEL, OFFSET = "mobilenet_v1_0.25_128", 1
BEST = "mobilenet_v1_1.0_224"
JSON = {"Content-Type": "application/json"}
CODES = {200: "OK", 413: "RESOURCE_EXHAUSTED", 400: "INVALID_ARGUMENT", 415: "INVALID_ARGUMENT", 422: "INVALID_ARGUMENT"}


class Doors:
    """Each way answers (status, {class: score} or the sentence, what else the answer says)."""

    def __init__(self, daemon, messages):
        self.daemon, self.messages = daemon, messages
        self.rpc = Client(daemon, messages)

    def ask(self, method, model, query, body, headers=None):
        r = self.daemon.request(method, f"/v1/models/{model}/classify{query or '?'}&top_k=5", body, headers)
        answer = r.json.get("results", [r.json])[0]
        if "error" in answer:
            return answer.get("status", r.status), answer["error"], {}
        said = {k: answer.get(k) for k in ("orientation", "truncated")}
        return r.status, {p["class"]: np.float32(p["score"]) for p in answer["predictions"]}, said

    def raw(self, data, model=MODEL, query=""):
        return self.ask("PUT", model, query, data)

    def multipart(self, data, model=MODEL, query=""):
        body, kind = pictures.multipart([("image", "picture.jpg", data)])
        return self.ask("POST", model, query, body, {"Content-Type": kind})

    def base64(self, data, model=MODEL, query=""):
        return self.ask("POST", model, query, json.dumps({"image": base64.b64encode(data).decode()}), JSON)

    def grpc(self, data, model=MODEL):
        """The code in place of the status; scores of all classes."""
        request = self.messages.inference.ModelInferRequest(model_name=model)
        tensor = request.inputs.add(name="input", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(data)
        request.outputs.add(name="probabilities")
        try:
            scores = np.frombuffer(self.rpc.infer(request).raw_output_contents[0], "<f4")
        except grpc.RpcError as e:
            return e.code().name, e.details(), {}
        return "OK", dict(enumerate(scores, -OFFSET)), {}


HTTP = ["raw", "multipart", "base64"]


@pytest.fixture(scope="module")
def doors(real, pb):  # noqa: F811
    d = Doors(real, pb)
    yield d
    d.rpc.channel.close()


def before_decoding(data, status):
    """A bare body without a picture in it is refused in words of its own."""
    return not data or status == 415


@pytest.mark.parametrize("name", [*PHOTOS, *ANY_CLASS])
def test_equal_through_all_doors(doors, shared, name):
    data = photo(shared, name)
    status, answer, _ = doors.raw(data)
    assert status in statuses({**PHOTOS, **ANY_CLASS}[name]), answer
    for door in HTTP[1:]:
        there, other, _ = getattr(doors, door)(data)
        assert there == status and (other == answer or before_decoding(data, status)), door
    code, theirs, _ = doors.grpc(data)
    assert code == CODES[status], theirs
    if status == 200:
        assert len(answer) == 5 and all(theirs[c] == score for c, score in answer.items())
    else:
        assert answer in theirs or before_decoding(data, status)


@pytest.mark.parametrize("door", [*HTTP, "grpc"])
@pytest.mark.parametrize("name", [name for name, want in PHOTOS.items() if 200 in statuses(want)])
def test_a_king_penguin(doors, shared, name, door):
    status, scores, _ = getattr(doors, door)(photo(shared, name), model=BEST)
    assert status in (200, "OK"), scores
    assert max(scores, key=scores.get) == PENGUIN and scores[PENGUIN] > 0.5


@pytest.mark.parametrize("door", HTTP)
@pytest.mark.parametrize("name", ["truncated.jpg", "truncated.png"])
def test_lenient(doors, shared, name, door):
    ask, data = getattr(doors, door), photo(shared, name)
    assert ask(data)[0] == 422
    status, scores, said = ask(data, query="?lenient=1")
    assert status == 200 and said["truncated"] is True
    assert scores == doors.raw(data, query="?lenient=1")[1]
    whole = ask(photo(shared, "upright.png"), query="?lenient=1")
    assert whole[0] == 200 and whole[2]["truncated"] is None
    assert ask(photo(shared, "empty.jpg"), query="?lenient=1")[0] in (400, 422)


@pytest.mark.parametrize("door", HTTP)
def test_orientation_is_reported(doors, shared, door):
    ask = getattr(doors, door)
    for i in range(1, 9):
        data = photo(shared, f"orient_{i}.jpg")
        turned, stored = ask(data), ask(data, query="?exif=0")
        assert turned[2]["orientation"] == (i if i > 1 else None)
        assert stored[2]["orientation"] is None and (stored[1] == turned[1]) == (i == 1)


def test_kept_answers_report_it_too(real_models, shared):
    from daemon import Daemon
    d = Daemon(real_models, "--cache-bytes", "1000000")
    try:
        for _ in range(2):
            r = d.request("PUT", f"/v1/models/{MODEL}/classify", photo(shared, "orient_6.jpg"))
            assert r.json["orientation"] == 6
            r = d.request("PUT", f"/v1/models/{MODEL}/classify?lenient=1", photo(shared, "truncated.jpg"))
            assert r.json["truncated"] is True
        assert r.headers["X-Cache"] == "hit"
    finally:
        d.stop()


def tensor(daemon, data):
    r = daemon.request("PUT", f"/v1/models/{MODEL}/preprocess?as=raw", data)
    assert r.status == 200, r.body
    return np.frombuffer(r.body, np.uint8).reshape(128, 128, 3).astype(int)


@pytest.mark.parametrize("name", ["rgba.png", "grey_alpha.png", "palette_trns.png", "rgba.webp", "cmyk.jpg", "grey16.png",
                                  "rgb16.png", "interlaced.png", "lossless.webp", "bgr24.bmp", "animated.gif", "grey1bit.png"])
def test_colours(real, shared, name):
    """Alpha lies on white, CMYK is neither inverted nor refused, 16 bits keep their high byte."""
    path = os.path.join(shared, "images", "photos", name)
    if name == "grey16.png":
        with Image.open(path) as image:
            pixels = (np.asarray(image).astype(int) >> 8).astype(np.uint8)
        image = Image.fromarray(pixels).convert("RGB")
    else:
        image = reference.upright(path)
    want = reference.resized(image, 128, "short_side", "bilinear").astype(int)
    got = tensor(real, photo(shared, name))
    assert np.abs(got - want).mean() < 2.0
    # The scaled decoding of a JPEG and a lossy WebP's own rounding apart, pixels are equal.
    if name not in ("cmyk.jpg", "rgba.webp"):
        assert np.abs(got - want).max() <= 1
