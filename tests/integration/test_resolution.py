"""The resolution multiplier: one weights file served at several input sizes, as variants of a family."""
import json
import os

import pytest

from daemon import Daemon

pytestmark = pytest.mark.patient

NAME = "mobilenet_v1_1.0_224"


def variant(models, to, side, **changes):
    """A folder whose model files are those of NAME, and whose manifest asks for another size."""
    folder = to / f"mobilenet_v1_1.0_{side}" / "1"
    folder.mkdir(parents=True)
    source = models / NAME / "1"
    for file in os.listdir(source):
        if file != "model.json":
            os.link(source / file, folder / file)
    manifest = json.loads((source / "model.json").read_text())
    manifest["input"] = {**manifest.get("input", {}), "height": side, "width": side}
    manifest["variant"] = f"1.0_{side}"
    manifest.pop("golden", None)
    (folder / "model.json").write_text(json.dumps({**manifest, **changes}))


@pytest.fixture(scope="module")
def ladder(real_models, tmp_path_factory):
    path = tmp_path_factory.mktemp("ladder")
    for side in (224, 192, 160, 128):
        variant(real_models, path, side)
    d = Daemon(path)
    yield d
    d.stop()


def test_costs_fall_with_the_square(ladder):
    """Mult-adds as the paper's table 7 has them, parameters unchanged."""
    models = {m["variant"]: m for m in ladder.request("GET", "/v1/models").json["models"]}
    assert set(models) == {"1.0_224", "1.0_192", "1.0_160", "1.0_128"}
    millions = {name: m["mult_adds"] / 1e6 for name, m in models.items()}
    for name, paper in (("1.0_224", 569), ("1.0_192", 418), ("1.0_160", 290), ("1.0_128", 186)):
        assert abs(millions[name] - paper) < 1.5
        assert models[name]["input"] == {"height": int(name[-3:]), "width": int(name[-3:])}
    assert len({m["parameters"] for m in models.values()}) == 1


@pytest.mark.slow
def test_each_resolution_knows_the_pictures(ladder, shared):
    """Labelled photos: fewer right at lower resolutions, but most of them; the family answers with its best."""
    with open(os.path.join(shared, "images", "labels.tsv")) as f:
        rows = [line.split("\t") for line in f.read().splitlines()[1:]]
    right = {}
    for side in (224, 192, 160, 128):
        right[side] = 0
        for row in rows:
            with open(os.path.join(shared, "images", "imagenet100", row[0]), "rb") as f:
                r = ladder.classify(f.read(), f"?model=mobilenet_v1_1.0_{side}")
            right[side] += r.top["class"] == int(row[1])
            assert r.json["variant"] == f"1.0_{side}"
    print(right)
    assert right[224] >= right[160] - 3 and right[192] >= 55 and right[128] >= 40
    with open(os.path.join(shared, "images", "imagenet100", rows[0][0]), "rb") as f:
        assert ladder.classify(f.read(), "?model=mobilenet_v1").json["variant"] == "1.0_224"


@pytest.mark.parametrize("side", [0, -32, 1, 70000, "224"])
def test_sizes_that_cannot_be(real_models, tmp_path, side):
    variant(real_models, tmp_path, 224)
    manifest = tmp_path / NAME / "1" / "model.json"
    changed = json.loads(manifest.read_text())
    changed["input"]["height"] = side
    manifest.write_text(json.dumps(changed))
    if side == 1:  # every map is one pixel high: useless, but a network
        Daemon(tmp_path).stop()
        return
    with pytest.raises(AssertionError, match=r"height|multiply-adds|input of|too"):
        Daemon(tmp_path)
