"""Real MobileNets on real photos: hostile files with the answer expected of each, and accuracy."""
import json
import os

import pytest

from daemon import SANITIZED, Daemon

pytestmark = pytest.mark.patient

PENGUIN = 145
OK, REFUSED = 200, "refused"
# The table of the photos' own README. A tuple of statuses means that policy may choose.
PHOTOS = {
    **{f"orient_{i}.jpg": OK for i in range(1, 9)},
    "upright.png": OK, "orient_6_bigendian.jpg": OK, "orient_invalid_9.jpg": OK, "s420.jpg": OK, "s422.jpg": OK,
    "s444.jpg": OK, "progressive.jpg": OK, "restart_markers.jpg": OK, "restart_blocks.jpg": OK, "odd_size.jpg": OK, "grey.jpg": OK,
    "cmyk.jpg": (200, 415), "large_4000x3000.jpg": OK, "rgba.png": OK, "palette.png": OK, "palette_trns.png": OK,
    "grey16.png": OK, "rgb16.png": OK, "grey_alpha.png": OK, "interlaced.png": OK,
    "lossy.webp": (200, 415), "lossless.webp": (200, 415), "rgba.webp": (200, 415), "bgr24.bmp": (200, 415),
    "truncated_header.jpg": 422, "zero_size.jpg": 422, "lying_65500x65500.jpg": 413, "bomb_20000x20000.png": 413,
    "truncated.png": 422, "corrupt_idat.png": 422, "truncated.jpg": 422, "empty.jpg": (422, 400), "text.jpg": 415,
    "html.png": 415,
}
ANY_CLASS = {"grey1bit.png": OK, "one_pixel.png": (200, 422), "one_row.png": (200, 422), "animated.gif": (200, 415)}


def photo(shared, name):
    with open(os.path.join(shared, "images", "photos", name), "rb") as f:
        return f.read()


def statuses(want):
    return want if isinstance(want, tuple) else (want,)


def test_table_is_complete(shared):
    assert set(os.listdir(os.path.join(shared, "images", "photos"))) == set(PHOTOS) | set(ANY_CLASS)


@pytest.mark.parametrize("name", PHOTOS)
def test_photo(real, shared, name):
    r = real.classify(photo(shared, name), "?model=mobilenet_v1_1.0_224")
    assert r.status in statuses(PHOTOS[name]), r.body
    if r.status == 200:
        assert r.top["class"] == PENGUIN and r.top["label"].startswith("king penguin") and r.top["score"] > 0.5
    else:
        assert r.json["error"]


@pytest.mark.parametrize("name", ANY_CLASS)
def test_odd_photo(real, shared, name):
    assert real.classify(photo(shared, name)).status in statuses(ANY_CLASS[name])


def test_stages_are_told_apart(real, shared):
    t = real.classify(photo(shared, "large_4000x3000.jpg")).json["timing_ms"]
    assert min(t["decode"], t["preprocess"], t["inference"]) > 0
    assert t["decode"] + t["preprocess"] + t["inference"] <= t["total"]


def test_full_decode_is_a_switch(real, real_models, shared):
    """Both ways see the same picture, but not the same pixels."""
    large, model = photo(shared, "large_4000x3000.jpg"), "?model=mobilenet_v1_0.25_128"
    d = Daemon(real_models, "--full-decode")
    try:
        full, quick = d.classify(large, model).top, real.classify(large, model).top
    finally:
        d.stop()
    assert full["class"] == quick["class"] == PENGUIN
    assert full["score"] != quick["score"] and abs(full["score"] - quick["score"]) < 0.1


def test_orientation_is_obeyed(real, shared):
    """Top-1 of the small model goes wrong for an unturned file, and the probability falls."""
    upright = real.classify(photo(shared, "upright.png"), "?model=mobilenet_v1_0.25_128").top
    for i in range(1, 9):
        turned = real.classify(photo(shared, f"orient_{i}.jpg"), "?model=mobilenet_v1_0.25_128").top
        assert turned["class"] == PENGUIN and abs(turned["score"] - upright["score"]) < 0.1, i


@pytest.mark.parametrize("model", ["mobilenet_v1_1.0_224", "mobilenet_v1_0.25_128", "mobilenet_v2_1.0_224"])
def test_top_1_of_a_hundred_photos(real, shared, model):
    golden = os.path.join(shared, "golden", "integer", f"{model}_quant.xnnpack.top5_100.json")
    with open(golden) as f:
        want = json.load(f)
    images = want["images"][:5] if SANITIZED else want["images"]
    same = right = 0
    for image in images:
        with open(os.path.join(shared, "images", "imagenet100", image["file"]), "rb") as f:
            r = real.classify(f.read(), f"?model={model}&top_k=1")
        assert r.status == 200
        same += r.top["class"] == image["top5"][0]["i"] - want["class_offset"]
        right += r.top["class"] == image["class_index"]
    assert same >= len(images) * 0.95
    if not SANITIZED:
        assert abs(right - want["top1"]) <= 3


def test_family_answers_with_its_best_variant(real, shared):
    r = real.classify(photo(shared, "upright.png"), "?model=mobilenet_v1")
    assert (r.json["model"], r.json["variant"]) == ("mobilenet_v1", "1.0_224")
    r = real.classify(photo(shared, "upright.png"), "?model=mobilenet_v1_0.25_128")
    assert r.json["variant"] == "0.25_128"
