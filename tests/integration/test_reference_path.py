"""No network that loads runs a step on the strict reference operators, which are for comparing: each has a driver of the
fast plan. The one exception is a float softmax over one vector, some microseconds at the end."""
import json
import os
import shutil
import subprocess

import pytest

from daemon import BINARY

pytestmark = pytest.mark.patient


def folders(shared):
    """(name, files) of each network below the shared models."""
    top = os.path.join(shared, "models")
    for base, _, files in sorted(os.walk(top)):
        name = os.path.relpath(base, top).replace(os.sep, "_")
        if "model.json" in files:
            yield name, [os.path.join(base, f) for f in files]
        for f in sorted(files):
            if f.endswith((".tflite", ".onnx")):
                yield f"{name}_{f}".replace(".", "_"), [os.path.join(base, f)]


def description(folder, precision):
    p = subprocess.run([BINARY, "describe", folder, "--json", "--precision", precision], capture_output=True, text=True,
                       timeout=120)
    return json.loads(p.stdout) if p.returncode == 0 else None


def slow_layers(described):
    return [f"{layer['name']} ({layer['kind']})" for layer in described["layers"]
            if layer["kernel"] == "ref" and (layer["kind"] != "softmax" or layer["output"][:2] != [1, 1])]


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_nothing_runs_on_the_reference(shared, tmp_path, precision):
    loaded, wrong = [], {}
    for name, files in folders(shared):
        folder = tmp_path / name / "1"
        folder.mkdir(parents=True)
        for f in files:
            shutil.copyfile(f, folder / os.path.basename(f))
        described = description(folder, precision)
        if described:
            loaded.append(name)
            wrong.update({name: slow_layers(described)} if slow_layers(described) else {})
    print(precision, loaded)
    if precision == "bf16" and not loaded:
        pytest.skip("this processor has no bf16")
    assert len(loaded) >= (15 if precision == "auto" else 8)
    assert not wrong


def test_nor_what_quantize_makes(shared, tmp_path):
    shutil.copytree(os.path.join(shared, "models", "imagenet", "mobilenet_v1_0.25_224_tfjs"), tmp_path / "float" / "1",
                    copy_function=shutil.copyfile)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for f in sorted(os.listdir(os.path.join(shared, "images", "imagenet100")))[:4]:
        shutil.copyfile(os.path.join(shared, "images", "imagenet100", f), pictures / f)
    subprocess.run([BINARY, "quantize", tmp_path / "float" / "1", "--images", pictures, "-o", tmp_path / "int8"],
                   check=True, capture_output=True, timeout=300)
    described = description(tmp_path / "int8" / "1", "auto")
    assert described["layers"][0]["kernel"].startswith("quant_f32")
    assert slow_layers(described) == []
