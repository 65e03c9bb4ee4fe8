"""bench and describe: the figures that scripts read, the paper's tables, pictures, and wrong use."""
import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest

from daemon import BINARY

# Howard et al. 2017, tables 4 to 7: millions of multiply-adds and of parameters.
PAPER = [
    (1.0, 224, "separable", 569, 4.2), (0.75, 224, "separable", 325, 2.6), (0.5, 224, "separable", 149, 1.3),
    (0.25, 224, "separable", 41, 0.5), (1.0, 192, "separable", 418, 4.2), (1.0, 160, "separable", 290, 4.2),
    (1.0, 128, "separable", 186, 4.2), (1.0, 224, "shallow", 307, 2.9),
    pytest.param(1.0, 224, "full", 4866, 29.3, marks=pytest.mark.slow),
]


def run(*args):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=120)


def read(*args):
    p = run(*args, "--json")
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)


@pytest.mark.parametrize("alpha,rho,form,mult_adds,parameters", PAPER)
def test_describe_gives_the_papers_costs(alpha, rho, form, mult_adds, parameters):
    d = read("describe", "--alpha", alpha, "--rho", rho, "--form", form)
    assert abs(d["mult_adds"] / 1e6 - mult_adds) < 1.5
    assert abs(d["parameters"] / 1e6 - parameters) < 0.06
    assert d["mult_adds"] == sum(layer["mult_adds"] for layer in d["layers"])
    assert d["parameters"] == sum(layer["parameters"] for layer in d["layers"])


def test_describe_gives_the_papers_body():
    """Table 1, and the saving of each pair: 1/N + 1/DK^2."""
    d = read("describe")
    layers = d["layers"]
    assert layers[0]["output"] == [112, 112, 32] and layers[0]["stride"] == 2
    pairs = [(a, b) for a, b in zip(layers, layers[1:]) if a["kind"] == "depthwise"]
    assert [b["output"][2] for _, b in pairs] == [64, 128, 128, 256, 256] + [512] * 6 + [1024] * 2
    assert [a["stride"] for a, _ in pairs] == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    for a, b in pairs:
        full = 9 * b["mult_adds"]
        assert (a["mult_adds"] + b["mult_adds"]) / full == pytest.approx(1 / b["output"][2] + 1 / 9)
    shares = {k["kind"]: k["mult_adds_percent"] for k in d["kinds"]}
    assert shares["pointwise"] == pytest.approx(94.86, abs=0.01)
    assert shares["depthwise"] == pytest.approx(3.06, abs=0.01)


def test_describe_text_and_picture(tmp_path):
    picture = tmp_path / "d.svg"
    p = run("describe", "--alpha", 0.25, "--rho", 64, "--measure", "--plot", picture)
    assert p.returncode == 0 and "mult-adds" in p.stdout and "measured" in p.stdout
    root = ET.parse(picture).getroot()
    bars = [e for e in root.iter() if e.tag.endswith("rect")]
    assert len(bars) > 28 + 15  # multiply-adds of each layer, time of each step, background
    assert [f.name for f in tmp_path.iterdir()] == ["d.svg"]


def test_describe_predicts_time(tmp_path):
    """From layers and the peak alone: of layers that sum up to the whole, larger for a larger network."""
    small, large = (read("describe", "--alpha", a, "--plot", tmp_path / f"{a}.svg") for a in (0.25, 1.0))
    for d in (small, large):
        assert sum(layer["predicted_us"] for layer in d["layers"]) / 1e3 == pytest.approx(d["predicted_ms"], rel=0.01)
        assert all(layer["predicted_us"] > 0 for layer in d["layers"] if layer["mult_adds"])
    assert 0 < small["predicted_ms"] < large["predicted_ms"]
    assert "predicted" in (tmp_path / "1.0.svg").read_text() and "min_ms" not in small


def test_describe_a_model(tiny_models):
    d = read("describe", "--models", tiny_models, "colour_32")
    assert d["format"] == "tflite" and d["outputs"] >= 2 and len(d["sha256"]) == 64
    assert read("describe", f"{tiny_models}/colour_32/1")["sha256"] == d["sha256"]


def test_bench_prints_what_scripts_read():
    b = read("bench", "--alpha", 0.25, "--rho", 64, "--seconds", 0.2, "--threads", 2, "--batch", 3)
    assert 0 < b["min_ms"] <= b["median_ms"] <= b["p99_ms"]
    assert b["threads"] == 2 and b["batch"] == 3 and b["precision"] == "int8"
    assert b["gops"] == pytest.approx(2 * 3 * b["mult_adds"] / b["min_ms"] / 1e6, rel=0.01, abs=0.06)
    assert b["peak_share"] == pytest.approx(b["gops"] / b["peak_gops"], rel=0.01, abs=0.001)
    assert b["isa"] and b["peak_instruction"] and b["max_rss_kb"] > 1000


@pytest.mark.slow
def test_bench_layers_add_up():
    b = read("bench", "--alpha", 0.5, "--rho", 128, "--seconds", 0.2, "--layers")
    us = [layer["us"] for layer in b["layers"] if "us" in layer]
    assert 10 < len(us) <= len(b["layers"])
    assert 0.5 * b["min_ms"] < sum(us) / 1000 < 3 * b["median_ms"]


@pytest.mark.parametrize("precision", ["int8", "uint8", "fp32"])
def test_bench_isa_c_is_obeyed(precision):
    b = read("bench", "--alpha", 0.25, "--rho", 32, "--seconds", 0.05, "--isa", "c", "--precision", precision)
    assert b["isa"] == "c" and b["peak_instruction"] == "c" and b["precision"] == precision


@pytest.mark.slow
def test_bench_grid(tmp_path):
    picture = tmp_path / "grid.svg"
    g = read("bench", "--grid", "--seconds", 0.02, "--plot", picture)["grid"]
    assert len({(p["alpha"], p["rho"]) for p in g}) == 16
    assert g[0]["over_line"] == 1 and all(p["min_ms"] > 0 for p in g)
    circles = [e for e in ET.parse(picture).getroot().iter() if e.tag.endswith("circle")]
    assert len(circles) == 16


@pytest.mark.parametrize("args,says", [
    (["--model", "nobody"], "nobody"),
    (["one", "two"], "more than one"),
    (["--alpha", "3"], "alpha"),
    (["--rho", "31"], "rho"),
    (["--form", "round"], "separable"),
    (["--threads", "0"], "threads"),
    (["--generation", "2", "--form", "full"], "generation 1"),
    (["/nowhere/at/all"], "/nowhere/at/all"),
])
def test_wrong_use(tiny_models, args, says):
    p = run("bench", *(["--models", tiny_models] if "nobody" in args else []), *args)
    assert p.returncode != 0 and says in p.stderr and p.stdout == ""


def test_a_picture_that_cannot_be_written():
    p = run("describe", "--alpha", 0.25, "--rho", 32, "--plot", "/nowhere/d.svg")
    assert p.returncode != 0 and "/nowhere/d.svg" in p.stderr


def test_bench_decode(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P6 300 200 255\n" + bytes(range(250)) * 720)
    (tmp_path / "b.pgm").write_bytes(b"P5 20 10 255\n" + bytes(200))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    b = read("bench", "--decode", tmp_path, "--seconds", 0.1)
    assert [f["name"] for f in b["files"]] == ["a.ppm", "b.pgm"] and b["pictures"] == 2
    assert b["rounds"] >= 1 and 0 < b["min_ms"] <= b["median_ms"]
    assert b["min_ms"] == pytest.approx(sum(f["min_ms"] for f in b["files"]) / 2, abs=1e-3)
    p = run("bench", "--decode", tmp_path, "--seconds", 0.05)
    assert p.returncode == 0 and "2 pictures" in p.stdout and "broken.png" in p.stderr
    for wrong in (tmp_path / "none", tmp_path / "a.ppm"):
        p = run("bench", "--decode", wrong)
        assert p.returncode != 0 and str(wrong) in p.stderr


def test_bench_images(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P6 300 200 255\n" + bytes(range(250)) * 720)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    network = ["--alpha", 0.25, "--rho", 32, "--classes", 10]
    for threads, batch in ((1, 1), (2, 3)):
        b = read("bench", "--images", tmp_path, *network, "--threads", threads, "--batch", batch, "--seconds", 0.2)
        assert b["pictures"] == 1 and b["images"] >= threads * batch and b["images"] % batch == 0
        one = b["decode_ms"] + b["run_ms"]
        assert 0 < one and b["images_per_s"] <= 1.01 * threads / one * 1e3
    p = run("bench", "--images", tmp_path, *network, "--seconds", 0.05)
    assert p.returncode == 0 and "images/s" in p.stdout and "broken.png" in p.stderr
    (tmp_path / "a.ppm").unlink()
    for wrong in (tmp_path / "none", tmp_path):
        p = run("bench", "--images", wrong, *network)
        assert p.returncode != 0 and str(wrong) in p.stderr


def test_bf16_prints_its_accuracy():
    """Where the processor has no bf16 the option is refused with a reason; plain C always takes it."""
    c = read("bench", "--precision", "bf16", "--isa", "c", "--alpha", 0.25, "--rho", 32, "--seconds", 0.1)
    assert c["precision"] == "bf16" and c["fp32_images"] >= 8
    assert 0 < c["fp32_logit_error"] < 0.02 and c["fp32_max_probability_error"] < 0.05
    p = run("bench", "--precision", "bf16", "--alpha", 0.25, "--rho", 32, "--seconds", 0.1)
    assert ("against fp32" in p.stdout) if p.returncode == 0 else ("bf16" in p.stderr)
    p = run("describe", "--precision", "bf16", "--isa", "c", "--alpha", 0.25, "--rho", 32)
    assert p.returncode == 0 and "against fp32" in p.stdout
    exact = read("bench", "--precision", "fp32", "--alpha", 0.25, "--rho", 32, "--seconds", 0.1)
    assert "fp32_images" not in exact


def test_fp32x_prints_its_error_against_double():
    c = read("bench", "--precision", "fp32x", "--isa", "c", "--alpha", 0.25, "--rho", 32, "--seconds", 0.1)
    assert c["precision"] == "fp32x" and c["fp32_same_top"] == c["fp32_images"] >= 8
    assert c["fp32_logit_error"] < 1e-6 and c["fp32_max_probability_error"] < 1e-5
    assert 0 < c["double_error"] < c["double_error_fma"] < 2e-4 and c["double_products"] == 512
    p = run("bench", "--precision", "fp32x", "--alpha", 0.25, "--rho", 32, "--seconds", 0.1)
    assert ("against double" in p.stdout) if p.returncode == 0 else ("no instructions for fp32x" in p.stderr)
    p = run("bench", "--precision", "bf16", "--isa", "c", "--alpha", 0.25, "--rho", 32, "--seconds", 0.1)
    assert "slower than fp32 here" in p.stdout  # plain C has no bf16 of its own


def test_manifest_wishes_a_precision(shared, tmp_path):
    """Taken where it is faster than fp32; elsewhere, as in plain C, fp32, and never a failure."""
    for wish in ["fp32x", "bf16", "fp32", "fp64"]:
        folder = tmp_path / wish / "1"
        folder.mkdir(parents=True)
        shutil.copyfile(os.path.join(shared, "models", "onnx", "mobilenet_v1_0.25_224.onnx"), folder / "net.onnx")
        (folder / "model.json").write_text(json.dumps({"files": ["net.onnx"], "precision": wish}))

    def precision(wish, *more):
        return read("describe", tmp_path / wish / "1", *more)["precision"]

    assert precision("fp32") == precision("fp32x", "--isa", "c") == precision("bf16", "--isa", "c") == "fp32"
    assert precision("fp32x", "--precision", "fp32") == "fp32" and precision("fp32", "--precision", "fp32x", "--isa", "c")
    native = read("describe", "--alpha", 0.25, "--rho", 32)["isa"]
    assert precision("fp32x") == ("fp32x" if native == "amx" else "fp32")
    if native == "amx":  # whose AVX512-BF16 has half the rate of FMAs
        assert precision("bf16") == "bf16" and precision("bf16", "--isa", "avx512bf16") == "fp32"
    p = run("describe", tmp_path / "fp64" / "1")
    assert p.returncode and '"precision" is none of: fp32, bf16, fp32x' in p.stderr

