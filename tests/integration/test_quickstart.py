"""The first command of the manual."""
import glob
import json
import os
import shutil
import subprocess

import pytest

import models
from daemon import ROOT, SANITIZED

pytestmark = [pytest.mark.slow, pytest.mark.patient]


def quickstart(*args):
    p = subprocess.run([os.path.join(ROOT, "deploy", "quickstart"), "--no-serve", *args], cwd=ROOT, text=True,
                       env=models.environment(), capture_output=True, timeout=900)
    if p.returncode and "no model" in p.stderr and "MOBILENETD_MIRROR" not in models.environment():
        pytest.skip(p.stderr.strip().splitlines()[-1])
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout.strip().splitlines()[-1])


def right(answer):
    """A cat for who knows cats; where there was no network but npm's, the moderation model serves."""
    best = answer["predictions"][0]["label"]
    return "cat" in best if answer["model"] != "moderation" else best == "Neutral"


def made():
    """When what it makes was made."""
    paths = [os.path.join(ROOT, "build", "mobilenetd"), os.path.join(ROOT, ".cache", "quickstart", "chelsea.png"),
             *glob.glob(os.path.join(ROOT, "models", "*", "1", "*"))]
    return {path: os.stat(path).st_mtime_ns for path in paths}


@pytest.mark.skipif(SANITIZED, reason="builds its own binary")
def test_a_cat_and_a_second_run_repeats_nothing():
    assert right(quickstart())
    before = made()
    assert len(before) > 3 and right(quickstart()) and made() == before


@pytest.mark.skipif(SANITIZED, reason="builds its own binary")
def test_a_photo_of_the_user(shared):
    answer = quickstart(os.path.join(shared, "images", "photos", "orient_3.jpg"))
    assert answer["predictions"][0]["class"] == 145


@pytest.mark.skipif(SANITIZED, reason="builds its own binary")
def test_the_moderation_model_where_nothing_else_is_to_be_had(shared, tmp_path):
    """A mirror that lacks the classifier and a URL that does not answer: the small model serves."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    os.symlink(os.path.join(shared, "models", "moderation"), mirror / "moderation")
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "curl").write_text('#!/bin/sh\ncase "$*" in *https:*) echo "curl: (7) no route" >&2; exit 7;; esac\nexec /usr/bin/curl "$@"\n')
    (fake / "curl").chmod(0o755)
    photo = os.path.join(shared, "images", "photos", "orient_3.jpg")
    moved = os.path.join(ROOT, "models", "mobilenet_v1_1.0_224")
    if os.path.isdir(moved):
        os.rename(moved, tmp_path / "kept")
    try:
        p = subprocess.run([os.path.join(ROOT, "deploy", "quickstart"), "--no-serve", photo], cwd=ROOT, text=True,
                           env=dict(os.environ, MOBILENETD_MIRROR=str(mirror), PATH=f"{fake}:{os.environ['PATH']}"),
                           capture_output=True, timeout=600)
    finally:
        if (tmp_path / "kept").is_dir():
            shutil.move(tmp_path / "kept", moved)
    assert p.returncode == 0, p.stderr
    assert "moderation" in p.stderr
    answer = json.loads(p.stdout.strip().splitlines()[-1])
    assert answer["model"] == "moderation" and answer["predictions"][0]["label"] == "Neutral"
