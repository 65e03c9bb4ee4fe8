"""What manifests say of the input, against Pillow, NumPy and OpenCV, through /v1/models/M/preprocess."""
import glob
import itertools
import json
import os

import numpy as np
import pytest

import reference
import tinymodel
from daemon import SANITIZED, Daemon

pytestmark = pytest.mark.patient

SIDE = 48
FILTERS = [*reference.FILTERS, "tf_bilinear"]
WAYS = list(itertools.product(reference.MODES, FILTERS))
MEAN, SCALE = [10, 120, 200.5], [1 / 64, 1 / 128, 1 / 200]


def model(repository, name, **given):
    tinymodel.write(str(repository), name, SIDE)
    path = repository / name / "1" / "model.json"
    manifest = json.loads(path.read_text())
    manifest["input"].update(given)
    path.write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    repository = tmp_path_factory.mktemp("ways")
    for mode, name in WAYS:
        model(repository, f"{mode}-{name}", resize=mode, filter=name)
    for channels in ("rgb", "bgr"):
        model(repository, channels, channels=channels)
        model(repository, f"{channels}-normalised", channels=channels, mean=MEAN, scale=SCALE)
    d = Daemon(repository, "--full-decode")
    yield d
    d.stop()


@pytest.fixture(scope="module")
def files(shared):
    """Photos of every size, and the odd ones that Pillow reads as we do (16 bits grey it clips)."""
    photos = sorted(glob.glob(os.path.join(shared, "images", "imagenet100", "*")))
    odd = ["upright.png", "s420.jpg", "s422.jpg", "s444.jpg", "progressive.jpg", "odd_size.jpg", "grey.jpg", "rgba.png",
           "palette.png", "palette_trns.png", "rgb16.png", "grey_alpha.png", "grey1bit.png", "interlaced.png",
           "one_pixel.png", "one_row.png", "lossless.webp", "bgr24.bmp", "large_4000x3000.jpg", "restart_markers.jpg"]
    photos = photos[:3] if SANITIZED else photos
    return photos + [os.path.join(shared, "images", "photos", name) for name in odd]


def tensor(daemon, name, data, query=""):
    r = daemon.request("PUT", f"/v1/models/{name}/preprocess?as=raw{query}", data)
    assert r.status == 200, r.body
    return np.frombuffer(r.body, np.uint8).reshape(SIDE, SIDE, 3)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def worst(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_bilinear_is_pillows_over_all_images(daemon, files):
    for path in files:
        want = reference.resized(reference.upright(path), SIDE, "short_side", "bilinear")
        assert worst(tensor(daemon, "short_side-bilinear", read(path)), want) <= 1, path


@pytest.mark.parametrize("mode, name", WAYS)
def test_every_way(daemon, files, mode, name):
    for path in files[::len(files) // 10]:
        want = reference.resized(reference.upright(path), SIDE, mode, name)
        assert worst(tensor(daemon, f"{mode}-{name}", read(path)), want) <= 1, path


def test_ways_differ(daemon, files):
    """Else a daemon that knows one way alone would pass by tolerance."""
    seen = [tensor(daemon, f"{mode}-{name}", read(files[0])) for mode, name in WAYS]
    for a, b in itertools.combinations(seen, 2):
        assert worst(a, b) > 2


@pytest.mark.parametrize("mode, name", WAYS)
def test_the_way_is_shown(daemon, files, mode, name):
    model_name = f"{mode}-{name}"
    shown = daemon.request("PUT", f"/v1/models/{model_name}/preprocess", read(files[-1])).json["preprocess"]
    assert shown == {"resize": mode, "filter": name, "channels": "rgb", "mean": [128] * 3, "scale": [1 / 128] * 3}
    properties = daemon.request("GET", f"/v2/models/{model_name}").json["properties"]
    assert (properties["resize"], properties["filter"]) == (mode, name)


def test_channels(daemon, files):
    data = read(files[0])
    assert (tensor(daemon, "bgr", data) == tensor(daemon, "rgb", data)[..., ::-1]).all()


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_mean_and_scale(daemon, files, channels):
    """The network is quantised: q = rint((pixel - mean) * scale / q_scale) + q_zero_point."""
    data, name = read(files[0]), f"{channels}-normalised"
    pixels = tensor(daemon, channels, data).astype(np.float64)
    want = np.rint((pixels - MEAN) * SCALE / tinymodel.IN_SCALE) + tinymodel.IN_ZERO
    assert worst(tensor(daemon, name, data), np.clip(want, 0, 255)) <= 1
    shown = daemon.request("PUT", f"/v1/models/{name}/preprocess", data).json["preprocess"]
    assert shown["channels"] == channels
    assert np.allclose(shown["mean"], MEAN) and np.allclose(shown["scale"], SCALE)


def test_opencv(daemon, files):
    """Two of its ways are two of ours: INTER_LINEAR without antialias, and INTER_AREA where whole pixels fit."""
    cv2 = pytest.importorskip("cv2")
    for path in files[:5]:
        image = np.asarray(reference.upright(path))
        want = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        assert worst(tensor(daemon, "squash-tf_bilinear", read(path)), want) <= 1, path
    upright = next(path for path in files if path.endswith("upright.png"))
    even = reference.Image.fromarray(np.asarray(reference.upright(upright))[:192, :288])
    want = cv2.resize(np.asarray(even), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert worst(tensor(daemon, "squash-area", reference.png(even)), want) <= 1
