"""Plans are tuned while the server idles; answers stay the same, and what was found is kept."""
import re
import shutil
import signal
import time

import pytest

from daemon import SANDBOX, Daemon, wait_for
from pictures import RED, noise

PICTURE = noise(300, 260)


@pytest.fixture(scope="module")
def few_models(tiny_models, tmp_path_factory):
    """Two: to measure each takes seconds of waiting."""
    path = tmp_path_factory.mktemp("few")
    for name in ("colour_16", "inverse"):
        shutil.copytree(tiny_models / name, path / name)
    return path


def tuned(d):
    return sorted(re.findall(r"model (\S+) tuned in", d.log()))


def served(d):
    models = d.request("GET", "/v1/models").json["models"]
    return sorted(f"{m['name']}/{m['version']}" for m in models)


def predictions(d):
    return d.classify(PICTURE).json["predictions"]


def test_at_idle_and_only_once(start, few_models, tmp_path):
    """One model is tuned after the other; the file has a line for each, and a second start measures nothing."""
    cache = tmp_path / "tuning"
    d = start("--tune", "--tune-cache", str(cache), "--sandbox", SANDBOX, models=few_models)
    before = predictions(d)
    wait_for(lambda: tuned(d) == served(d))
    assert predictions(d) == before
    lines = cache.read_text().splitlines()
    assert len(lines) == len(served(d))
    d.signal()
    assert d.wait() == 0
    again = start("--tune", "--tune-cache", str(cache), "--sandbox", SANDBOX, models=few_models)
    assert predictions(again) == before
    time.sleep(1)
    assert tuned(again) == [] and cache.read_text().splitlines() == lines


def test_a_file_of_others_is_no_harm(start, tiny_models, tmp_path):
    """Lines that are none, of other models, cut off or wrong: what does not fit is measured anew."""
    cache, models = tmp_path / "tuning", tmp_path / "models"
    shutil.copytree(tiny_models / "colour_16", models / "colour_16")
    d = start("--tune", "--tune-cache", str(cache), models=models)
    wait_for(lambda: tuned(d) == served(d))
    before, lines = predictions(d), cache.read_text().splitlines()
    d.signal()
    assert d.wait() == 0
    bad = [re.sub(r"[0-9]+$", "9" * 9, lines[0]), lines[0][:-3], "x" * 70000, "\0\1\2", " ", ""]
    for text in ("\n".join(bad), "\n".join(bad + [lines[0], bad[0], ""])):
        cache.write_text(text)
        d = start("--tune", "--tune-cache", str(cache), models=models)
        assert predictions(d) == before
        wait_for(lambda: tuned(d) == served(d))
        d.signal()
        assert d.wait() == 0


def test_not_while_there_is_work(start, few_models):
    d = start("--tune", "--workers", "1", models=few_models)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert d.classify(RED).status == 200
    began = tuned(d)
    wait_for(lambda: tuned(d) == served(d))
    assert len(began) < len(served(d))


def test_models_that_come_later(start, tiny_models, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(tiny_models / "inverse", models / "inverse")
    d = start("--tune", models=models)
    wait_for(lambda: tuned(d) == served(d))
    shutil.copytree(tiny_models / "colour_16", models / "newcomer")
    d.signal(signal.SIGHUP)
    wait_for(lambda: any(m.startswith("newcomer/") for m in tuned(d)))


def test_off_is_off(start):
    d = start("--no-tune")
    d.classify(RED)
    time.sleep(1)
    assert tuned(d) == []


@pytest.mark.parametrize("what", ["folder", "missing"])
def test_a_file_that_cannot_be(tiny_models, tmp_path, what):
    path = tmp_path if what == "folder" else tmp_path / "no" / "file"
    with pytest.raises(AssertionError, match="tune_cache"):
        Daemon(tiny_models, "--tune", "--tune-cache", str(path))
