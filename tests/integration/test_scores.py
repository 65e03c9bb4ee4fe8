"""What a model's numbers are: scores by softmax, by sigmoid or as they stand, an embedding, or no scores at all."""
import json
import os
import subprocess

import numpy as np
import pytest

import tinymodel
from daemon import BINARY
from pictures import BLUE, RED, plain

COLOUR = (200, 90, 30)
PICTURE = plain(COLOUR)
ROWS = tinymodel.WEIGHTS[1:]  # red, green, blue
ONE = ROWS[:1]                # red or not
NAMES = ["red", "green", "blue"]


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x)))


def softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()


def repository(path):
    """A model for every way in which a network can end."""
    def write(name, weights, labels, end, **more):
        tinymodel.write(str(path), name, 16, labels=labels, weights=weights, end=end, class_offset=0, **more)

    write("red", ONE, ["red"], "sigmoid")
    write("number", ONE, ["red"], "none")
    write("told", ONE, ["red"], "none", activation="sigmoid")
    write("colours", ROWS, NAMES, "sigmoid")
    write("logits", ROWS, NAMES, "none")
    write("logits_sigmoid", ROWS, NAMES, "none", activation="sigmoid")
    write("logits_none", ROWS, NAMES, "none", activation="none")
    write("softmax_none", ROWS, NAMES, "softmax", activation="none")
    write("clamped", ROWS, NAMES, "clamp")
    write("map", ROWS, NAMES, "map")
    write("vectors", ROWS, NAMES, "none", embeds=True, task="embedding")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    path = tmp_path_factory.mktemp("ends")
    repository(path)
    return path


@pytest.fixture(scope="module")
def ends(models):
    from daemon import Daemon
    d = Daemon(models, "--default-model", "red")
    yield d
    d.stop()


def run(*args):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=60)


def scores(daemon, model, picture=PICTURE):
    r = daemon.request("PUT", f"/v1/models/{model}/classify?top_k=9", picture)
    assert r.status == 200, r.body
    return {p["label"]: p["score"] for p in r.json["predictions"]}


def close(have, want):
    assert set(have) == set(want) and all(abs(have[k] - want[k]) < 1e-5 for k in want), (have, want)


# ---- scores ----

def test_one_unit_says_how_much(ends):
    """A softmax of one number is 1, whatever the picture."""
    for name in ("red", "told"):
        for rgb, picture in ((COLOUR, PICTURE), ((255, 0, 0), RED), ((0, 0, 255), BLUE)):
            close(scores(ends, name, picture), {"red": sigmoid(tinymodel.logits(rgb, ONE))[0]})
    assert scores(ends, "red", RED)["red"] > 0.8 > 0.3 > scores(ends, "red", BLUE)["red"]


def test_labels_of_their_own(ends):
    """Many sigmoids do not add up to one, through any door."""
    want = dict(zip(NAMES, map(float, sigmoid(tinymodel.logits(COLOUR, ROWS)))))
    close(scores(ends, "colours"), want)
    assert abs(sum(want.values()) - 1) > 0.1
    given = {"name": "input", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": list(COLOUR) * 256}
    r = ends.request("POST", "/v2/models/colours/infer", json.dumps({"inputs": [given]}))
    got = {o["name"]: o["data"] for o in r.json["outputs"]}
    assert np.allclose(got["probabilities"], list(want.values()), atol=1e-5)
    r = ends.request("POST", "/v1/models/colours:predict", json.dumps({"instances": [[[list(COLOUR)] * 16] * 16]}))
    assert np.allclose(r.json["predictions"][0], list(want.values()), atol=1e-5)


def test_what_is_said_decides(ends):
    x = tinymodel.logits(COLOUR, ROWS)
    for name, want in (("logits", softmax(x)), ("logits_sigmoid", sigmoid(x)), ("logits_none", x),
                       ("softmax_none", x), ("clamped", np.floor(np.clip(x, 0, 255 / 256) * 256 + 0.5) / 256)):
        close(scores(ends, name), dict(zip(NAMES, map(float, want))))


@pytest.mark.parametrize("name,end,activation,where,says", [
    ("red", "sigmoid", "sigmoid", "graph", "scores: sigmoid, as the graph ends"),
    ("logits", "none", "softmax", "default", "scores: softmax, for nothing else is said; the graph ends in neither"),
    ("softmax_none", "softmax", "none", "manifest", "scores: none, as model.json says; the graph ends in softmax"),
    ("clamped", "none", "none", "graph", "scores: none, as the graph ends"),
])
def test_described(ends, models, name, end, activation, where, says):
    p = run("describe", name, "--models", models)
    assert p.returncode == 0 and says in p.stdout, p
    d = json.loads(run("describe", name, "--models", models, "--json").stdout)
    assert (d["ends_in"], d["activation"], d["activation_from"], d["no_classes"]) == (end, activation, where, "")
    r = ends.request("GET", f"/v2/models/{name}")
    assert r.json["parameters"]["activation"] == activation if "parameters" in r.json else activation in str(r.json)


def test_told_at_the_start(ends):
    lines = {line.split("/1: ")[0].rpartition(" ")[2]: line for line in ends.log().splitlines() if "mult-adds" in line}
    for name, says in (("red", "scores: sigmoid"), ("logits", "scores: softmax, assumed"), ("map", "no classifier"),
                       ("softmax_none", "scores: none")):
        assert says in lines[name], lines[name]


# ---- no classifiers ----

WHY = {"map": "its output is 16x16x3, not one score for each class", "number": "goes through no sigmoid",
       "vectors": "its output is an embedding"}


@pytest.mark.parametrize("name", WHY)
def test_refused_by_name(ends, models, tmp_path, name):
    says = f'the model "{name}" is no classifier: '
    for method, path, body in (("PUT", f"/v1/models/{name}/classify", PICTURE), ("PUT", f"/v1/classify?model={name}", PICTURE),
                               ("POST", f"/v1/models/{name}:classify", '{"examples":[{"input":[1]}]}')):
        r = ends.request(method, path, body)
        assert r.status == 400 and says in r.json["error"] and WHY[name] in r.json["error"], (path, r.body)
    (tmp_path / "a.png").write_bytes(PICTURE)
    p = run("classify", "--models", models, "--model", name, tmp_path / "a.png")
    assert p.returncode == 1 and says in p.stderr and WHY[name] in p.stderr
    assert "no classifier: " in run("describe", name, "--models", models).stdout
    assert WHY[name] in json.loads(run("describe", name, "--models", models, "--json").stdout)["no_classes"]
    row = [m for m in ends.request("GET", "/v1/models").json["models"] if m["name"] == name]
    assert row[0]["classes"] == 0


def test_a_map_is_given_as_it_is(ends):
    given = {"name": "input", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": list(COLOUR) * 256}
    r = ends.request("POST", "/v2/models/map/infer", json.dumps({"inputs": [given]}))
    (output,) = r.json["outputs"]
    assert output["name"] == "logits" and output["shape"] == [1, 16 * 16 * 3]
    assert np.allclose(np.reshape(output["data"], (256, 3)), tinymodel.logits(COLOUR, ROWS))
    r = ends.request("POST", "/v2/models/map/infer", json.dumps({"inputs": [given], "outputs": [{"name": "probabilities"}]}))
    assert r.status == 400 and "probabilities" in r.json["error"]


# ---- embeddings ----

def test_an_embedding_is_the_output(ends):
    """Not the vector in front of it, as a classifier's is."""
    want = tinymodel.logits(COLOUR, ROWS)
    r = ends.request("PUT", "/v1/models/vectors/embed", PICTURE)
    assert r.status == 200 and np.allclose(r.json["embedding"], want)
    assert [o["name"] for o in ends.request("GET", "/v2/models/vectors").json["outputs"]] == ["embedding"]
    predict = json.dumps({"instances": [[[list(COLOUR)] * 16] * 16]})
    r = ends.request("POST", "/v1/models/vectors:predict", predict)
    assert r.status == 200 and np.allclose(r.json["predictions"][0], want)
    r = ends.request("GET", "/v1/models/vectors/metadata")
    assert "embedding" in json.dumps(r.json) and "probabilities" not in json.dumps(r.json)


def test_taught_on_an_embedding(models, start, tmp_path):
    for name, rgb in (("warm", (220, 60, 20)), ("cold", (20, 60, 220))):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(6):
            picture = plain(tuple(v + 4 * i for v in rgb))
            (tmp_path / "pictures" / name / f"{i}.png").write_bytes(picture)
    p = run("teach", "vectors", "--models", models, "--images", tmp_path / "pictures", "-o", tmp_path / "m" / "warmth")
    assert p.returncode == 0, p.stderr
    daemon = start(models=tmp_path / "m")
    for picture, label in ((RED, "warm"), (BLUE, "cold")):
        assert daemon.classify(picture).top["label"] == label
    assert len(daemon.request("PUT", "/v1/embed", RED).json["embedding"]) == 3


# ---- manifests ----

@pytest.mark.parametrize("end,more,says", [
    ("none", {"activation": "relu"}, '"activation" is none of: none, sigmoid, softmax'),
    ("none", {"task": "juggling"}, '"task" is none of: classification, embedding'),
    ("map", {"task": "embedding"}, "says that it makes an embedding, its output is 16x16x3"),
    ("map", {"golden": {"image": "a.png", "classes": [0], "scores": [1]}}, "golden: the model is no classifier"),
])
def test_what_cannot_be(tmp_path, end, more, says):
    tinymodel.write(str(tmp_path), "m", 16, labels=NAMES, weights=ROWS, end=end, class_offset=0, **more)
    p = run("describe", "m", "--models", tmp_path)
    assert p.returncode == 1 and says in p.stderr, p


def test_one_output_has_one_name(tmp_path):
    tinymodel.write(str(tmp_path), "m", 16, labels=["blue", "red"], weights=ONE, end="sigmoid", class_offset=0)
    p = run("describe", "m", "--models", tmp_path)
    assert p.returncode == 1 and "the score of one class (of Keras's two the second)" in p.stderr, p


# ---- real ones ----

def link(path, name, manifest, *files):
    folder = path / name / "1"
    folder.mkdir(parents=True)
    for f in files:
        os.symlink(f, folder / os.path.basename(f))
    (folder / "model.json").write_text(json.dumps(dict(manifest, files=[os.path.basename(f) for f in files])))


@pytest.mark.slow
def test_real_networks(shared, start, tmp_path):
    tasks, golden = os.path.join(shared, "models", "tasks"), os.path.join(shared, "golden", "tasks")
    face = [os.path.join(tasks, "mobileface", "mobileface" + e) for e in (".json", ".bin")]
    link(tmp_path, "face", {"format": "tfjs", "task": "embedding", "input": {"mean": 0, "scale": 1}}, *face)
    link(tmp_path, "deeplab", {}, os.path.join(tasks, "deeplabv3_mnv2", "deeplabv3.tflite"))
    daemon = start(models=tmp_path)
    r = daemon.request("PUT", "/v1/models/deeplab/classify", RED)
    assert r.status == 400 and 'the model "deeplab" is no classifier: its output is 257x257x21' in r.json["error"]
    faces = np.fromfile(os.path.join(golden, "inputs", "mobileface.8x112x112x3.u8"), np.uint8).reshape(8, 112, 112, 3)
    want = np.fromfile(os.path.join(golden, "mobileface.tfjs.embedding_8x256.f32"), "<f4").reshape(8, 256)
    head = json.dumps({"inputs": [{"name": "input", "datatype": "UINT8", "shape": list(faces.shape),
                                   "parameters": {"binary_data_size": faces.nbytes}}]}).encode()
    r = daemon.request("POST", "/v2/models/face/infer", head + faces.tobytes(),
                       {"Inference-Header-Content-Length": str(len(head))})
    (output,) = r.json["outputs"]
    assert output["name"] == "embedding" and np.abs(np.reshape(output["data"], (8, 256)) - want).max() < 5e-4
