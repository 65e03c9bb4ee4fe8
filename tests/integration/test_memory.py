"""What a picture of twelve million pixels adds to the resident memory at its worst moment."""
import io
import os

import pytest
from PIL import Image

import pictures
from daemon import SANITIZED, Daemon

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps freed memory, and shadows all of it")

MIB = 1 << 20
COEFFICIENTS = 4000 * 3000 * 3 // 2 * 2  # 4:2:0, two bytes each


def status(daemon, key):
    with open(f"/proc/{daemon.process.pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(key + ":"))


def peak_over_idle(daemon, data, want=200):
    """VmHWM while it is answered, over VmRSS before."""
    before = status(daemon, "VmRSS")
    with open(f"/proc/{daemon.process.pid}/clear_refs", "w") as f:
        f.write("5")  # the peak is what is resident now
    assert status(daemon, "VmHWM") <= before + MIB // 2
    r = daemon.classify(data, timeout=120)
    assert r.status == want, r.body
    return status(daemon, "VmHWM") - before


@pytest.fixture(scope="module")
def large():
    """A busy picture of 4000x3000, as cameras give them: some megabytes of bytes a picture."""
    small = Image.open(io.BytesIO(pictures.noise(500, 375, "PNG"))).resize((4000, 3000), Image.BICUBIC)
    return {kind: pictures.encode(small, "JPEG", quality=70, subsampling="4:2:0", progressive=kind == "progressive")
            for kind in ("baseline", "progressive")}


@pytest.fixture
def daemon(start):
    d = start("--workers", "1", "--max-decode-ms", "60000")
    for _ in range(20):
        assert d.classify(pictures.RED_JPEG).status == 200
    return d


def test_baseline_needs_rows_alone(daemon, large):
    assert peak_over_idle(daemon, large["baseline"]) < 4 * MIB


def test_photo_of_shared(daemon, shared):
    with open(os.path.join(shared, "images", "photos", "large_4000x3000.jpg"), "rb") as f:
        assert peak_over_idle(daemon, f.read()) < 4 * MIB


def test_progressive_stays_under_the_limit_of_coefficients(daemon, large):
    """It needs them all, which shows that the measure above can see megabytes."""
    peak = peak_over_idle(daemon, large["progressive"])
    assert 8 * MIB < peak < COEFFICIENTS + 4 * MIB


def test_progressive_over_the_limit_is_refused(start, large):
    d = start("--workers", "1", "--max-picture-memory", str(COEFFICIENTS // 2))
    assert d.classify(pictures.RED_JPEG).status == 200
    assert peak_over_idle(d, large["progressive"], 413) < 4 * MIB
    error = d.classify(large["progressive"]).json["error"]
    assert "progressive" in error and str(COEFFICIENTS // 2) in error
    assert d.classify(large["baseline"], timeout=60).status == 200
