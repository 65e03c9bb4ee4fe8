"""What a user does first: one picture, many pictures, the parameters, the answer's fields."""
import json
import subprocess

import pytest

import pictures
import tinymodel
from pictures import BLUE, GREEN, RED, RED_JPEG


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("rgb, label, number", [((255, 0, 0), "red", 0), ((0, 255, 0), "green", 1),
                                                ((0, 0, 255), "blue", 2)])
def test_one_picture(tiny, method, rgb, label, number):
    r = tiny.request(method, "/v1/classify", pictures.plain(rgb))
    assert r.status == 200, r.body
    assert (r.top["class"], r.top["label"]) == (number, label)


def test_scores_are_the_softmax_over_all_outputs(tiny):
    want = tinymodel.scores((200, 30, 90))
    got = {p["class"]: p["score"] for p in tiny.classify(pictures.plain((200, 30, 90))).json["predictions"]}
    assert set(got) == {0, 1, 2}  # the background class is never ranked, and nothing is renormalised
    for number, score in got.items():
        assert score == pytest.approx(want[number + 1], abs=1e-3)


def test_fields_of_the_answer(tiny):
    r = tiny.classify(RED)
    a = r.json
    assert (a["model"], a["version"], a["variant"]) == ("colour", "1", "32")
    assert set(a["timing_ms"]) == {"queue", "decode", "preprocess", "inference", "total"}
    assert all(t >= 0 for t in a["timing_ms"].values())
    assert a["timing_ms"]["total"] >= a["timing_ms"]["inference"]
    assert a["batch"] >= 1
    assert r.headers["Content-Type"].startswith("application/json")
    assert "inference;dur=" in r.headers["Server-Timing"] and "queue;dur=" in r.headers["Server-Timing"]


def test_predictions_are_sorted(tiny):
    predictions = tiny.classify(pictures.plain((30, 90, 160))).json["predictions"]
    assert [p["label"] for p in predictions] == ["blue", "green", "red"]
    assert [p["score"] for p in predictions] == sorted((p["score"] for p in predictions), reverse=True)


def test_ties_go_to_the_lower_index(tiny):
    assert [p["class"] for p in tiny.classify(pictures.plain((90, 90, 90))).json["predictions"]] == [0, 1, 2]


@pytest.mark.parametrize("query, count", [("?top_k=1", 1), ("?top_k=2", 2), ("?top_k=3", 3), ("", 3),
                                          ("?top_k=1000000000", 3)])
def test_top_k(tiny, query, count):
    r = tiny.classify(RED, query)
    assert r.status == 200 and len(r.json["predictions"]) == count


@pytest.mark.parametrize("query", ["?top_k=0", "?top_k=-1", "?top_k=abc", "?top_k=", "?top_k=1.5",
                                   "?top_k=99999999999999999999"])
def test_bad_top_k(tiny, query):
    r = tiny.classify(RED, query)
    if query.endswith("99999") and r.status == 200:
        assert len(r.json["predictions"]) == 3
        return
    assert r.status == 400 and "top_k" in r.json["error"]


@pytest.mark.parametrize("path, label, variant", [
    ("/v1/models/colour/classify", "red", "32"), ("/v1/models/colour_16/classify", "red", "16"),
    ("/v1/classify?model=colour_16", "red", "16"), ("/v1/classify?model=inverse", "blue", None)])
def test_model_by_name(tiny, path, label, variant):
    r = tiny.request("POST", path, RED)
    assert r.status == 200 and r.top["label"] == label
    if variant:
        assert r.json["variant"] == variant


@pytest.mark.parametrize("path", ["/v1/models/nobody/classify", "/v1/classify?model=nobody"])
def test_unknown_model(tiny, path):
    r = tiny.request("POST", path, RED)
    assert r.status == 404 and "nobody" in r.json["error"]


def test_default_model(start):
    d = start("--default-model", "inverse")
    assert d.classify(RED).top["label"] == "blue"


def test_jpeg(tiny):
    assert tiny.classify(RED_JPEG).top["label"] == "red"


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (33, 31), (1000, 700)])
def test_sizes(tiny, size):
    r = tiny.classify(pictures.plain((0, 255, 0), size))
    assert r.status == 200 and r.top["label"] == "green"


def test_multipart_one(tiny):
    body, kind = pictures.multipart([("image", "a.png", RED)])
    r = tiny.request("POST", "/v1/classify", body, {"Content-Type": kind})
    assert r.status == 200 and r.top["label"] == "red"


def test_multipart_many_in_order(tiny):
    parts = [("image", "a.png", RED), ("image", "b.jpg", RED_JPEG), ("image", "c.png", GREEN),
             ("image", "d.png", BLUE)]
    body, kind = pictures.multipart(parts)
    r = tiny.request("POST", "/v1/classify?top_k=1", body, {"Content-Type": kind})
    assert r.status == 200
    assert [x["predictions"][0]["label"] for x in r.json["results"]] == ["red", "red", "green", "blue"]
    assert all(x["status"] == 200 for x in r.json["results"])


def test_multipart_broken_one_in_its_place(tiny):
    parts = [("image", "a.png", RED), ("image", "b.png", RED[:60]), ("image", "c.txt", b"just text"),
             ("image", "d.png", BLUE)]
    body, kind = pictures.multipart(parts)
    r = tiny.request("POST", "/v1/classify", body, {"Content-Type": kind})
    assert r.status == 200
    a, b, c, d = r.json["results"]
    assert (a["predictions"][0]["label"], d["predictions"][0]["label"]) == ("red", "blue")
    assert (b["status"], c["status"]) == (422, 415)
    assert b["error"] and c["error"] and "predictions" not in b


def curl(*args):
    p = subprocess.run(["curl", "-sS", "-m", "20", *args], capture_output=True, text=True, check=True)
    return json.loads(p.stdout)


def test_curl_as_in_the_manual(tiny, tmp_path):
    red, blue = tmp_path / "a.jpg", tmp_path / "b.png"
    red.write_bytes(RED_JPEG)
    blue.write_bytes(BLUE)
    assert curl("-T", red, f"{tiny.address}/v1/classify")["predictions"][0]["label"] == "red"
    assert curl("--data-binary", f"@{red}", f"{tiny.address}/v1/classify")["predictions"][0]["label"] == "red"
    many = curl("-F", f"image=@{red}", "-F", f"image=@{blue}", f"{tiny.address}/v1/classify")
    assert [r["predictions"][0]["label"] for r in many["results"]] == ["red", "blue"]
