"""mobilenetd quantize on a real float MobileNet: against the float model, the labels and ONNX Runtime."""
import json
import os
import shutil
import subprocess

import pytest
from PIL import Image

from daemon import BINARY, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.patient]


def run(*args, timeout=300):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def labels(shared):
    """Path and class of each labelled picture."""
    with open(os.path.join(shared, "images", "labels.tsv")) as f:
        rows = [line.split("\t") for line in f.read().splitlines()[1:]]
    return [(os.path.join(shared, "images", "imagenet100", row[0]), int(row[1])) for row in rows]


@pytest.fixture(scope="module")
def models(shared, tmp_path_factory):
    """A repository with the float model, as TF.js's converter left it, and its quantised form."""
    path = tmp_path_factory.mktemp("quantised")
    shutil.copytree(os.path.join(shared, "models", "imagenet", "mobilenet_v1_0.25_224_tfjs"), path / "float" / "1",
                    copy_function=shutil.copyfile)
    os.chmod(path / "float" / "1", 0o755)
    p = run("quantize", path / "float" / "1", "--images", os.path.join(shared, "images", "imagenet100"),
            "-o", path / "int8", "--json")
    assert p.returncode == 0, p.stderr
    return path, json.loads(p.stdout)


def best(models, name, pictures):
    p = run("classify", "--models", models, "--model", name, "--json", "--top-k", "1", *pictures)
    assert p.returncode == 0, p.stderr
    return [json.loads(line)["predictions"][0]["class"] for line in p.stdout.splitlines()]


def test_report(models):
    _, report = models
    assert report["images"] == 100 and report["same_top1"] >= 93 and report["top1_in_top5"] >= 99
    assert report["logit_sqnr_db"] > 20 and report["equalised_pairs"] == 26
    layers = {layer["name"]: layer["sqnr_db"] for layer in report["layers"]}
    assert len(layers) > 28 and all(db > 12 for db in layers.values())


def test_accuracy_within_a_point(models, labels):
    path, _ = models
    pictures = [picture for picture, _ in labels]
    truth = [number for _, number in labels]
    right = {name: sum(a == b for a, b in zip(best(path, name, pictures), truth)) for name in ("float", "int8")}
    print(right)
    assert right["float"] >= 54 and right["int8"] >= right["float"] - 1


def test_a_second_run_overwrites_nothing(models, shared):
    path, _ = models
    p = run("quantize", path / "float" / "1", "--images", os.path.join(shared, "images"), "-o", path / "int8")
    assert p.returncode == 1 and "is there already" in p.stderr


@pytest.mark.parametrize("args,says", [
    (["--images", "/nowhere"], "/nowhere"),
    ([], "--images"),
])
def test_wrong_use(models, args, says, tmp_path):
    path, _ = models
    p = run("quantize", path / "float" / "1", "-o", tmp_path / "x", *args)
    assert p.returncode == 1 and says in p.stderr and not (tmp_path / "x").exists()


def test_an_integer_model_is_refused(models, shared, tmp_path):
    path, _ = models
    p = run("quantize", path / "int8" / "1", "--images", os.path.join(shared, "images"), "-o", tmp_path / "x")
    assert p.returncode == 1 and "only a float model" in p.stderr


def square(path, side=224):
    """The short side to 256, the centre of it: as the engine's own image door, by Pillow."""
    picture = Image.open(path).convert("RGB")
    w, h = picture.size
    short, s = min(w, h), round(side * 256 / 224)
    w, h = (w * s + short // 2) // short, (h * s + short // 2) // short
    x, y = (w - side) // 2, (h - side) // 2
    return picture.resize((w, h), Image.BILINEAR).crop((x, y, x + side, y + side)).tobytes()


def test_onnx_runtime_agrees(models, labels, runtime, tmp_path):
    path, _ = models
    pictures = [picture for picture, _ in labels]
    with open(path / "int8" / "1" / "model.json") as f:
        manifest = json.load(f)["input"]
    (tmp_path / "pixels").write_bytes(b"".join(square(picture) for picture in pictures))
    script = os.path.join(os.path.dirname(__file__), "onnx_top1.cjs")
    p = subprocess.run(["node", script, runtime, path / "int8" / "1" / "model.onnx", tmp_path / "pixels", "224",
                        str(manifest["mean"][0]), str(manifest["scale"][0])],
                       capture_output=True, text=True, timeout=300)
    assert p.returncode == 0, p.stderr
    theirs = [int(line) for line in p.stdout.split()]
    same = sum(a == b for a, b in zip(theirs, best(path, "int8", pictures)))
    print(f"ONNX Runtime has the same best class on {same} of {len(theirs)}")
    assert len(theirs) == len(pictures) and same >= 98
