"""Golden answers made in the run, for who has no ../shared: a real MobileNet V2 by deploy/pull, quantised here, a photo made
here, the pixels by Pillow, the answers by ONNX Runtime."""
import io
import json
import os
import platform
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

import models
from daemon import BINARY, ROOT, Daemon
from reference import png, resized

onnx = pytest.importorskip("onnx")
import onnx.numpy_helper  # noqa: E402
import onnx.utils  # noqa: E402

RUN_NET = os.path.join(os.path.dirname(BINARY), "tests", "models", "run_net")
pytestmark = [pytest.mark.slow, pytest.mark.patient]
SIDE = 224
PHOTOS = 8


def photo(seed, width=640, height=480):
    """Soft colours, edges and grain: not noise alone, of which a network sees little."""
    r = np.random.default_rng(seed)
    soft = Image.fromarray(r.integers(0, 256, (height // 40, width // 40, 3), np.uint8)).resize((width, height), Image.BICUBIC)
    pixels = np.asarray(soft).astype(int) + r.integers(-20, 21, (height, width, 3))
    for _ in range(12):
        x, y, w, h = r.integers(0, [width, height, 160, 120])
        pixels[y:y + h, x:x + w] += r.integers(-80, 81, 3)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def exact():
    """Without VNNI, ONNX Runtime's own products of int8 saturate in 16 bits."""
    if platform.machine() != "x86_64":
        return False
    with open("/proc/cpuinfo") as f:
        return "vnni" in f.read()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    path = tmp_path_factory.mktemp("golden")
    try:
        models.pull(path / "float", "moderation")
    except models.Missing as e:
        pytest.skip(str(e))
    (path / "photos").mkdir()
    for i in range(PHOTOS):
        photo(i).save(path / "photos" / f"{i}.png")
    p = subprocess.run([BINARY, "quantize", path / "float" / "moderation" / "1", "--images", path / "photos",
                        "-o", path / "served" / "int8"], capture_output=True, text=True, timeout=900)
    assert p.returncode == 0, p.stderr
    return path / "served"


@pytest.fixture(scope="module", params=["native", "c"])
def daemon(request, repository):
    d = Daemon(repository, "--isa", request.param, "--full-decode")
    yield d
    d.stop()


def pixels_of(daemon, repository, image):
    """What the network gets to see, NHWC: Pillow's own pixels."""
    r = daemon.request("PUT", "/v1/models/int8/preprocess?as=npy", png(image))
    assert r.status == 200, r.body
    pixels = np.load(io.BytesIO(r.body))[0]
    scale = np.float32(json.loads((repository / "int8" / "1" / "model.json").read_text())["input"]["scale"][0])
    assert (pixels == resized(image, SIDE, "short_side", "bilinear").astype(np.float32) * scale).all()
    return pixels


def ran(command, **env):
    p = subprocess.run(list(map(str, command)), input="", capture_output=True, text=True, timeout=300, env={**os.environ, **env})
    assert p.returncode == 0, p.stderr


def theirs(runtime, model, pixels, tmp_path, value=""):
    (tmp_path / "nchw").write_bytes(np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype("<f4").tobytes())
    ran(["node", os.path.join(ROOT, "tests", "models", "ort_net.mjs"), model, tmp_path / "nchw", tmp_path / "theirs", value],
        PEERS_NODE=runtime)
    return np.fromfile(tmp_path / "theirs", "<f4")


def before_the_first_sum(model, to):
    """The network up to what goes into its first residual sum: from there on the two round differently, XNNPACK's way and
    ONNX Runtime's. Returns the channels of that map."""
    net = onnx.shape_inference.infer_shapes(onnx.load(model))
    cut = next(n for n in net.graph.node if n.op_type == "Add").input[1]
    part = onnx.utils.Extractor(net).extract_model([net.graph.input[0].name], [cut])
    assert sum(n.op_type == "Conv" for n in part.graph.node) >= 8
    to.mkdir()
    onnx.save(part, str(to / "model.onnx"))
    shutil.copyfile(os.path.join(os.path.dirname(model), "model.json"), to / "model.json")
    return part.graph.output[0].type.tensor_type.shape.dim[1].dim_value


@pytest.mark.parametrize("seed", [100, 101, 102])
def test_bit_for_bit(daemon, repository, runtime, tmp_path, seed):
    """Eight real layers, pointwise and depthwise: 75,264 values."""
    channels = before_the_first_sum(str(repository / "int8" / "1" / "model.onnx"), tmp_path / "part")
    pixels = pixels_of(daemon, repository, photo(seed))
    pixels.astype("<f4").tofile(tmp_path / "nhwc")
    ran([RUN_NET, tmp_path / "part", tmp_path / "nhwc", tmp_path / "ours"])
    ours = np.fromfile(tmp_path / "ours", "<f4").reshape(-1, channels)
    golden = theirs(runtime, tmp_path / "part" / "model.onnx", pixels, tmp_path).reshape(channels, -1).T
    assert ours.size == 75264 and len(np.unique(ours)) > 100
    if exact():
        assert (ours == golden).all(), f"{(ours != golden).sum()} of {ours.size} values differ"
    else:
        assert np.abs(ours - golden).mean() < 0.02 * np.ptp(golden)


def quantum(model):
    """Of the logits."""
    net = onnx.load(model)
    last = [n for n in net.graph.node if n.op_type == "QuantizeLinear"][-1]
    return next(float(onnx.numpy_helper.to_array(i)) for i in net.graph.initializer if i.name == last.input[1])


@pytest.mark.parametrize("seed", [100, 101, 102, 103])
def test_the_whole_network(daemon, repository, runtime, tmp_path, seed):
    """Through ten residual sums: within two quanta, and the best class is the same."""
    model = repository / "int8" / "1" / "model.onnx"
    pixels = pixels_of(daemon, repository, photo(seed))
    body = {"inputs": [{"name": "input", "shape": [1, SIDE, SIDE, 3], "datatype": "FP32", "data": pixels.ravel().tolist()}],
            "outputs": [{"name": "logits"}]}
    ours = np.array(daemon.request("POST", "/v2/models/int8/infer", json.dumps(body)).json["outputs"][0]["data"], np.float32)
    golden = theirs(runtime, model, pixels, tmp_path, "logits")
    off = np.abs(ours - golden).max() / quantum(str(model))
    print(f"largest difference: {off:.2f} quanta")
    assert np.argmax(ours) == np.argmax(golden) and len(set(ours)) == 5
    assert off < (2.01 if exact() else 20)
