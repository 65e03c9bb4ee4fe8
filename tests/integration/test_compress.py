"""mobilenetd compress: the same model from smaller files, to the bit; few values a layer; what serve makes of both."""
import json
import os
import shutil
import subprocess

import pytest

import pictures
from daemon import BINARY

pytestmark = pytest.mark.patient


def run(*args, timeout=300):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def pressed(tiny_models, tmp_path_factory):
    """A repository with a tiny model, compressed."""
    path = tmp_path_factory.mktemp("pressed")
    name = sorted(d for d in os.listdir(tiny_models) if os.path.isdir(tiny_models / d))[0]
    p = run("compress", "--models", tiny_models, "--model", name, "-o", path / name, "--json")
    assert p.returncode == 0, p.stderr
    return path, name, json.loads(p.stdout)


def test_the_same_network(pressed):
    path, name, report = pressed
    assert report["original"]["digest"] == report["compressed"]["digest"]
    assert report["compressed"]["bytes"] < report["original"]["bytes"]
    files = os.listdir(path / name / "1")
    assert any(f.endswith(".press") for f in files) and not any(f.endswith(".tflite") for f in files)


def test_serve_answers_alike(pressed, tiny_models, start):
    path, name, _ = pressed
    answers = []
    for models in (tiny_models, path):
        d = start(models=models)
        answers.append(d.request("PUT", f"/v1/models/{name}/classify", pictures.RED).json["predictions"])
    assert answers[0] == answers[1] and answers[0]


def test_serve_bounds_what_comes_out(tmp_path, start, tiny_models):
    shutil.copytree(tiny_models, tmp_path / "m")
    packed = tmp_path / "big" / "1"
    (tmp_path / "m" / "big").mkdir()
    assert run("compress", sorted((tmp_path / "m").glob("*/1"))[0], "-o", tmp_path / "big").returncode == 0
    file = next(packed.glob("*.press"))
    data = bytearray(file.read_bytes())
    data[8:16] = (5000).to_bytes(8, "little")  # says that it holds more than the limit
    file.write_bytes(data)
    os.rmdir(tmp_path / "m" / "big")
    shutil.move(tmp_path / "big", tmp_path / "m" / "big")
    d = start("--max-model-file", "4096", models=tmp_path / "m")
    assert "larger than 4096 bytes when it is expanded" in d.log()
    assert d.classify(pictures.RED).status == 200


@pytest.mark.parametrize("args,says", [
    (["--images", "/nowhere"], "/nowhere"),
    (["--codebook", "16"], "only a float model"),
    (["--codebook", "300"], "codebook"),
    (["--prune", "0.3"], "--images names no folder"),
    (["--prune", "0.3", "--images", "/nowhere"], "/nowhere"),
    (["--prune", "0.3", "--codebook", "16", "--images", "/tmp"], "exclude each other"),
    (["--prune", "0.95"], "0.95"),
])
def test_wrong_use(tiny_models, tmp_path, args, says):
    p = run("compress", "--models", tiny_models, "-o", tmp_path / "x", *args)
    assert p.returncode != 0 and says in p.stderr and not (tmp_path / "x" / "1").exists()


def test_only_floats_are_pruned(tiny_models, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(pictures.RED)
    p = run("compress", "--models", tiny_models, "--prune", "0.3", "--images", tmp_path, "-o", tmp_path / "x")
    assert p.returncode != 0 and "only a float model is pruned" in p.stderr and not (tmp_path / "x" / "1").exists()


@pytest.fixture(scope="module")
def real_float(shared, tmp_path_factory):
    path = tmp_path_factory.mktemp("float")
    shutil.copytree(os.path.join(shared, "models", "imagenet", "mobilenet_v1_0.25_224_tfjs"), path / "v1" / "1",
                    copy_function=shutil.copyfile)
    return path


def compare(shared, model, out, *args, images=100):
    expected = images
    images = os.path.join(shared, "images")
    p = run("compress", model, "-o", out, "--json", "--images", os.path.join(images, "imagenet100"),
            "--truth", os.path.join(images, "labels.tsv"), *args)
    assert p.returncode == 0, p.stderr
    report = json.loads(p.stdout)
    print(args, report)
    assert report["images"] == report["known"] == expected
    return report


@pytest.mark.slow
def test_a_real_model(real_float, shared, tmp_path):
    report = compare(shared, real_float / "v1" / "1", tmp_path / "same")
    assert report["same_logits"] == 100 and report["original"]["right"] == report["compressed"]["right"] >= 54
    assert report["original"]["digest"] == report["compressed"]["digest"]
    assert report["compressed"]["bytes"] < 0.86 * report["original"]["bytes"]


@pytest.mark.slow
def test_a_codebook(real_float, shared, tmp_path):
    report = compare(shared, real_float / "v1" / "1", tmp_path / "few", "--codebook", "256")
    assert report["same_top1"] >= 86 and report["compressed"]["right"] >= report["original"]["right"] - 3
    assert report["compressed"]["bytes"] < 0.30 * report["original"]["bytes"]


@pytest.mark.slow
def test_pruning(real_float, shared, tmp_path):
    report = compare(shared, real_float / "v1" / "1", tmp_path / "v1", "--prune", "0.2", images=50)
    assert 0.19 <= report["pruned"] < 0.23 and report["learned_from"] == 50
    assert report["same_top1"] >= 28 and report["compressed"]["bytes"] < 0.86 * report["original"]["bytes"]
    assert all(layer["kept"] <= layer["inputs"] for layer in report["layers"])
    photo = sorted((p for p in os.scandir(os.path.join(shared, "images", "imagenet100"))), key=lambda p: p.name)[0].path
    answers = []
    for isa in ("native", "c"):  # each with a kernel of its own
        p = run("classify", "--models", tmp_path, "--isa", isa, "--json", photo)
        assert p.returncode == 0, p.stderr
        answers.append(json.loads(p.stdout)["predictions"])
    assert [a["class"] for a in answers[0]] == [b["class"] for b in answers[1]]
