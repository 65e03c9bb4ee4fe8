"""The first command of the manual."""
import json
import os
import subprocess
import time

import pytest

from daemon import ROOT, SANITIZED

pytestmark = pytest.mark.slow


def quickstart(shared, *args):
    begun = time.monotonic()
    p = subprocess.run([os.path.join(ROOT, "deploy", "quickstart"), "--no-serve", *args], cwd=ROOT, text=True,
                       env=dict(os.environ, MOBILENETD_MIRROR=os.path.join(shared, "models")),
                       capture_output=True, timeout=600)
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout.strip().splitlines()[-1]), time.monotonic() - begun


@pytest.mark.skipif(SANITIZED, reason="builds its own binary")
def test_a_cat_and_a_second_run_in_no_time(shared):
    answer, _ = quickstart(shared)
    assert "cat" in answer["predictions"][0]["label"]
    answer, seconds = quickstart(shared)
    assert "cat" in answer["predictions"][0]["label"] and seconds < 15


@pytest.mark.skipif(SANITIZED, reason="builds its own binary")
def test_a_photo_of_the_user(shared):
    answer, _ = quickstart(shared, os.path.join(shared, "images", "photos", "orient_3.jpg"))
    assert answer["predictions"][0]["class"] == 145
