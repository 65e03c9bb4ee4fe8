"""mobilenetd teach: new classes for a real backbone, from folders of pictures to a served answer."""
import json
import os
import shutil
import subprocess

import pytest

from daemon import BINARY

pytestmark = [pytest.mark.slow, pytest.mark.patient]


def run(*args, timeout=300):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def lesson(shared, tmp_path_factory):
    """ImageNet's animals against its things: a folder each; every twelfth picture is kept for the end."""
    path = tmp_path_factory.mktemp("lesson")
    kept = {"animal": [], "thing": []}
    with open(os.path.join(shared, "images", "labels.tsv")) as f:
        for i, line in enumerate(f.read().splitlines()[1:]):
            name, number = line.split("\t")[:2]
            kind = "animal" if int(number) < 398 else "thing"
            picture = os.path.join(shared, "images", "imagenet100", name)
            if i % 12 == 0:
                kept[kind].append(picture)
                continue
            os.makedirs(path / kind, exist_ok=True)
            os.symlink(picture, path / kind / name)
    return path, kept


def test_animals_and_things(real_models, lesson, start, tmp_path):
    pictures, kept = lesson
    p = run("teach", "mobilenet_v1_1.0_224", "--models", real_models, "--images", pictures, "-o", tmp_path / "m" / "new", "--json")
    assert p.returncode == 0, p.stderr
    report = json.loads(p.stdout)
    assert report["classes"] == 2 and report["images"] == 91 and report["embedding"] == 1024
    assert report["held_out"] >= 16 and report["accuracy"] >= 0.8  # chance: 0.65
    daemon = start(models=tmp_path / "m")
    right = 0
    for kind, paths in kept.items():
        for path in paths:
            with open(path, "rb") as f:
                reply = daemon.classify(f.read())
            assert reply.status == 200 and reply.top["label"] in kept
            right += reply.top["label"] == kind
    assert right >= 8  # of 9


def test_a_broken_picture_and_too_few(real_models, lesson, tmp_path):
    pictures, _ = lesson
    few = tmp_path / "few"
    shutil.copytree(pictures / "animal", few / "animal", symlinks=True)
    args = ["teach", "mobilenet_v1_0.25_128", "--models", real_models, "--images", few, "-o", tmp_path / "x"]
    p = run(*args)
    assert p.returncode == 1 and "two classes" in p.stderr
    (few / "none").mkdir()
    (few / "none" / "a.jpg").write_bytes(b"no picture")
    p = run(*args)
    assert p.returncode == 1 and "class none has no picture" in p.stderr and "a.jpg" in p.stderr
    assert not (tmp_path / "x").exists()
