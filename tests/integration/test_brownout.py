"""Brown-out: under load a family answers with a lower variant and says so; who will not have that is refused."""
import concurrent.futures
import json
import threading

import pytest

import pictures
from daemon import wait_for
from pictures import RED

PICTURE = pictures.plain((200, 30, 90), (2000, 1500))  # few bytes: the worker is to be short, not the loop
CLIENTS = 24


@pytest.fixture(scope="module")
def pressed(tiny, tiny_models):
    """One worker, and an objective that one picture meets with ease and 24 at once cannot."""
    from daemon import Daemon
    timings = [tiny.classify(PICTURE).json["timing_ms"] for _ in range(5)]
    alone_ms = min(t["decode"] + t["preprocess"] + t["inference"] for t in timings)
    objective_ms = max(40, int(8 * alone_ms))
    d = Daemon(tiny_models, "--workers", "1", "--slo-p99-ms", str(objective_ms), "--max-connections", "200")
    yield d
    d.stop()


def flood(d, rounds, query="", done=lambda answers: False):
    answers = []
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(rounds):
            answers += list(pool.map(lambda _: d.classify(PICTURE, query, timeout=120), range(CLIENTS)))
            if done(answers):
                break
    return answers


def wait_for_the_best(d):
    wait_for(lambda: d.metric("mobilenetd_family_level", family="colour") == 0, 300)


def was_degraded(answers):
    return any(a.status == 200 and a.json.get("degraded") for a in answers)


def was_refused(answers):
    return any(a.status == 429 for a in answers)


def test_alone_it_is_the_best(pressed):
    wait_for_the_best(pressed)
    r = pressed.classify(RED)
    assert r.status == 200 and r.json["variant"] == "32" and "degraded" not in r.json
    assert 'variant;desc="32"' in r.headers["Server-Timing"] and "degraded" not in r.headers["Server-Timing"]


def test_load_brings_it_down_and_quiet_up(pressed):
    answers = flood(pressed, 200, done=was_degraded)
    assert {a.status for a in answers} <= {200, 429}
    low = [a for a in answers if a.status == 200 and a.json.get("degraded")]
    assert low, "never degraded"
    for a in low:
        assert a.json["variant"] == "16" and a.json["degraded"] is True
        timing = a.headers["Server-Timing"]
        assert 'variant;desc="16"' in timing and timing.endswith(", degraded")
    assert all(a.json["variant"] == "32" for a in answers if a.status == 200 and a not in low)
    assert pressed.metric("mobilenetd_family_degraded_total", family="colour") >= len(low)
    assert pressed.metric("mobilenetd_family_switches_total", family="colour", direction="down") >= 1
    assert pressed.metric("mobilenetd_images_total", model="colour_16", outcome="ok") >= len(low)
    wait_for_the_best(pressed)
    assert pressed.metric("mobilenetd_family_switches_total", direction="up", reason="load") >= 1
    assert pressed.classify(RED).json["variant"] == "32"


@pytest.mark.parametrize("query", ["?degrade=0", "?model=colour_32", "?min_variant=32", "?min_variant=colour_32"])
def test_nobody_is_degraded_against_their_will(pressed, query):
    enough = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        others = pool.submit(flood, pressed, 200, done=lambda answers: enough.is_set())
        try:
            answers = flood(pressed, 200, query, lambda answers: len(answers) >= 6 * CLIENTS and was_refused(answers))
        finally:
            enough.set()
        others.result()
    assert {a.status for a in answers} <= {200, 429}
    for a in answers:
        if a.status == 200:
            assert a.json["variant"] == "32" and "degraded" not in a.json
        else:
            assert int(a.headers["Retry-After"]) >= 1
    assert was_refused(answers), "24 clients at once were all in time, again and again"


def test_pinned_to_the_lower_one(pressed):
    for query in ("?model=colour_16", "?model=colour_16&degrade=0"):
        r = pressed.classify(RED, query)
        assert r.json["variant"] == "16" and "degraded" not in r.json


def test_unknown_floor(pressed):
    r = pressed.classify(RED, "?min_variant=64")
    assert r.status == 400 and "min_variant" in r.json["error"]
    assert pressed.classify(RED, "?degrade=2").status == 400


def test_without_an_objective_nothing_is_degraded(tiny):
    answers = flood(tiny, 3)
    assert {a.status for a in answers} == {200}
    assert {json.dumps([a.json["variant"], "degraded" in a.json]) for a in answers} == {'["32", false]'}
    assert tiny.metric("mobilenetd_family_switches_total") == 0
