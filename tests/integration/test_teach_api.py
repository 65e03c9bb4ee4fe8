"""POST /v1/models/M/teach: labelled pictures become a model that is served before the answer is here."""
import json
import os
import shutil

import pytest

import pictures
import tinymodel
from daemon import SANITIZED, Daemon, keys_file

pytestmark = pytest.mark.patient

MODEL = "mobilenet_v1_0.25_128"
KEY = {"X-API-Key": "root-5f1c"}
COLOURS = {"red": (220, 30, 20), "green": (20, 200, 40), "blue": (30, 40, 210)}


def shade(colour, n):
    """A picture of about this colour."""
    return pictures.plain(tuple(max(0, min(255, c + 7 * n - 14)) for c in COLOURS[colour]), (90 + n, 70))


def lesson(n=5, colours=COLOURS):
    return pictures.multipart([(c, f"{i}.png", shade(c, i)) for i in range(n) for c in colours])


@pytest.fixture(scope="module")
def school(real_models, tmp_path_factory):
    """A daemon whose repository may be written to."""
    path = tmp_path_factory.mktemp("school")
    models = path / "models"
    shutil.copytree(real_models / MODEL, models / MODEL)
    d = Daemon(models, "--admin", "--api-keys", keys_file(path, "root-5f1c infer,admin", "guest-5f1c infer"))
    d.models = models
    yield d
    d.stop()


def teach(d, body_and_kind, query="", key=KEY, model=MODEL):
    body, kind = body_and_kind
    return d.request("POST", f"/v1/models/{model}/teach{query}", body, {"Content-Type": kind, **key}, timeout=120)


def test_colours(school):
    r = teach(school, lesson(), "?as=colours")
    assert r.status == 200, r.body
    assert r.json == {"model": "colours", "version": "1", "classes": ["blue", "green", "red"], "images": 15,
                      "held_out": {"images": 3, "right": 3}}
    for colour in COLOURS:
        a = school.request("PUT", "/v1/models/colours/classify", shade(colour, 2), KEY)
        assert a.status == 200 and a.top["label"] == colour and a.top["score"] > 0.5
        assert a.json["version"] == "1" and len(a.json["predictions"]) == 3
    # Another lesson is another version, and takes over.
    r = teach(school, lesson(2, ["red", "blue"]), "?as=colours")
    assert r.status == 200 and (r.json["version"], r.json["classes"]) == ("2", ["blue", "red"])
    a = school.request("PUT", "/v1/models/colours/classify", shade("red", 1), KEY).json
    assert a["version"] == "2" and [p["label"] for p in a["predictions"]] == ["red", "blue"]
    assert school.request("GET", "/v2/models/colours/ready", headers=KEY).status == 200
    # What was taught can be taught again.
    r = teach(school, lesson(2), "?as=third", model="colours")
    assert r.status == 200 and len(r.json["classes"]) == 3


def test_a_lesson_moves_no_default(start, tmp_path):
    """Needs no real model: the tiny one has the mean colour for an embedding."""
    tinymodel.write(str(tmp_path / "models"), "colour", 16, embeds=True)
    d = start("--admin", "--api-keys", keys_file(tmp_path, "root-5f1c infer,admin"), models=tmp_path / "models")
    r = teach(d, lesson(2), "?as=a_first_by_name", model="colour")
    assert r.status == 200 and r.json["classes"] == ["blue", "green", "red"]
    assert d.request("PUT", "/v1/models/a_first_by_name/classify", shade("green", 1), KEY).json["predictions"][0]["label"] == "green"
    assert d.request("PUT", "/v1/classify", shade("green", 1), KEY).json["model"] == "colour"


def test_a_name_is_made_up(school):
    r = teach(school, lesson(1, ["red", "blue"]))
    assert r.status == 200 and r.json["model"] == MODEL + "_taught" and r.json["held_out"] == {"images": 0, "right": 0}
    with open(school.models / (MODEL + "_taught") / "1" / "model.json") as f:
        assert json.load(f)["source"] == f"{MODEL} version 1, taught 2 classes by mobilenetd"


@pytest.mark.parametrize("form, query, status, word", [
    (([("red", "a", b"no picture"), ("blue", "b", pictures.BLUE)]), "", 415, '"red"'),
    (([("red", "a", pictures.RED[:60]), ("blue", "b", pictures.BLUE)]), "", 422, '"red"'),
    (([("red", "a", pictures.RED)]), "", 400, "two labels"),
    (([("red", "a", pictures.RED)] * 65), "", 413, "64"),
    (([("", "a", pictures.RED), ("blue", "b", pictures.BLUE)]), "", 400, "label"),
    (([("x" * 200, "a", pictures.RED), ("blue", "b", pictures.BLUE)]), "", 400, "label"),
    (([("a\tb", "a", pictures.RED), ("blue", "b", pictures.BLUE)]), "", 400, "label"),
    (([("red", "a", pictures.RED), ("blue", "b", pictures.BLUE)]), "?as=../x", 400, "name"),
    (([("red", "a", pictures.RED), ("blue", "b", pictures.BLUE)]), "?as=.x", 400, "name"),
    (([("red", "a", pictures.RED), ("blue", "b", pictures.BLUE)]), "?as=" + "x" * 200, 400, "name"),
    (([("red", "a", pictures.RED), ("blue", "b", pictures.BLUE)]), "?as=mobilenet_v1", 409, "family"),
    (([("red", "a", pictures.RED), ("blue", "b", pictures.BLUE)]), "?as=" + MODEL, 409, "family")])
def test_refused(school, form, query, status, word):
    before = sorted(os.listdir(school.models))
    r = teach(school, pictures.multipart(form), query)
    assert r.status == status and word in r.json["error"], (r.status, r.body)
    assert sorted(os.listdir(school.models)) == before


def test_what_is_no_form(school):
    r = school.request("POST", f"/v1/models/{MODEL}/teach", pictures.RED, KEY)
    assert r.status == 415 and "form" in r.json["error"]
    assert teach(school, (b"--frontier\r\nbroken", "multipart/form-data; boundary=frontier")).status == 400
    assert teach(school, lesson(), model="nobody").status == 404


def test_who_may(school, start, real_models):
    assert teach(school, lesson(), key={}).status == 401
    assert teach(school, lesson(), key={"X-API-Key": "guest-5f1c"}).status == 403
    assert "admin" in teach(start(models=real_models), lesson(), key={}).json["error"]


@pytest.mark.skipif(SANITIZED, reason="sanitizers run without the sandbox")
def test_not_out_of_the_sandbox(start, real_models, tmp_path):
    d = start("--admin", "--api-keys", keys_file(tmp_path, "root-5f1c infer,admin"), "--sandbox", "on", models=real_models)
    r = teach(d, lesson())
    assert r.status == 403 and "sandbox" in r.json["error"]


def test_a_repository_that_cannot_be_written(school, tmp_path):
    """A file stands where the folder would be."""
    (school.models / "wall").write_text("")
    r = teach(school, lesson(1), "?as=wall")
    assert r.status == 500 and "wall" in r.json["error"]
    os.unlink(school.models / "wall")


def test_with_the_cache(start, real_models, tmp_path):
    """Pictures that were asked before, and the same ones twice."""
    models = tmp_path / "models"
    shutil.copytree(real_models / MODEL, models / MODEL)
    d = start("--admin", "--api-keys", keys_file(tmp_path, "root-5f1c infer,admin"), "--cache-bytes", "10M", models=models)
    for _ in range(2):
        assert d.request("PUT", f"/v1/models/{MODEL}/embed", shade("red", 0), KEY).status == 200
        assert teach(d, lesson(), "?as=colours").json["held_out"] == {"images": 3, "right": 3}
    a = d.request("PUT", "/v1/models/colours/classify", shade("red", 2), KEY)
    assert a.top["label"] == "red" and a.json["version"] == "2"


def test_no_embedding(start, tmp_path):
    d = start("--admin", "--api-keys", keys_file(tmp_path, "root-5f1c infer,admin"))
    r = teach(d, lesson(), model="colour_16")
    assert r.status == 400 and "no embedding" in r.json["error"]
