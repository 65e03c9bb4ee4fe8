"""What is told of single requests: the trace that they belong to, why they were refused, and which were slow."""
import json
import re

import pytest

from daemon import Daemon, keys_file, wait_for
from pictures import RED

pytestmark = pytest.mark.patient

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
ADMIN = {"X-API-Key": "bosskey"}


def lines(d):
    return [json.loads(line) for line in d.log().splitlines()]


def line_of(d, name):
    """The log's line of the request with this id."""
    wait_for(lambda: any(e.get("id") == name for e in lines(d)))
    return next(e for e in lines(d) if e.get("id") == name)


@pytest.fixture(scope="module")
def kept(tiny_models, tmp_path_factory):
    keys = keys_file(tmp_path_factory.mktemp("keys"), "bosskey infer,admin,metrics", "userkey infer", "slowkey infer 0.001/1")
    d = Daemon(tiny_models, "--log-format", "json", "--admin", "--api-keys", keys, "--max-body", "100000")
    yield d
    d.stop()


def test_a_trace_is_taken_and_passed_on(kept):
    seen = set()
    for i in range(3):
        r = kept.request("PUT", "/v1/classify", RED, {"traceparent": PARENT, "X-Request-Id": f"traced-{i}", **ADMIN})
        m = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-01", r.headers["traceresponse"])
        assert m and m[1] not in ("0" * 16, "00f067aa0ba902b7")
        seen.add(m[1])
        assert line_of(kept, f"traced-{i}")["trace"] == TRACE
    assert len(seen) == 3, "each call has a span of its own"


def test_who_is_not_traced_gets_no_trace(kept):
    r = kept.request("PUT", "/v1/classify", RED, {"X-Request-Id": "untraced", **ADMIN})
    assert "traceresponse" not in r.headers and "trace" not in line_of(kept, "untraced")
    assert "reason" not in line_of(kept, "untraced")


@pytest.mark.parametrize("reason, key, method, path, body", [
    ("key", "nobody", "PUT", "/v1/classify", RED), ("scope", "userkey", "GET", "/metrics", None),
    ("path", "userkey", "GET", "/nowhere", None), ("method", "userkey", "GET", "/v1/classify", None),
    ("request", "userkey", "PUT", "/v1/classify?top_k=x", RED), ("size", "userkey", "PUT", "/v1/classify", b"x" * 200000),
    ("type", "userkey", "PUT", "/v1/classify", b"text"), ("picture", "userkey", "PUT", "/v1/classify", RED[:60])],
    ids=lambda v: v if isinstance(v, str) and v.isalpha() else "")
def test_a_refusal_has_its_reason(kept, reason, key, method, path, body):
    r = kept.request(method, path, body, {"X-API-Key": key, "X-Request-Id": "because-" + reason})
    line = line_of(kept, "because-" + reason)
    assert (line["status"], line["reason"], line["error"]) == (r.status, reason, r.json["error"])


def test_a_limit_that_bites_is_said_once_a_minute(kept):
    assert kept.request("PUT", "/v1/classify", RED, {"X-API-Key": "slowkey"}).status == 200
    for i in range(5):
        r = kept.request("PUT", "/v1/classify", RED, {"X-API-Key": "slowkey", "X-Request-Id": f"bitten-{i}"})
        assert r.status == 429
    line_of(kept, "bitten-4")
    said = [e for e in lines(kept) if e.get("message", "").startswith("limit rate: ")]
    assert [e["level"] for e in said] == ["warning"]
    assert said[0]["message"] == "limit rate: 1 request refused since the last word of it; set by the rate of an API key"


def recent(d):
    return d.request("GET", "/debug/requests", headers=ADMIN).json


def test_slow_and_failed_requests_are_kept(kept):
    kept.request("PUT", "/v1/models/inverse/classify", RED, {"traceparent": PARENT, "X-Request-Id": "kept-1", **ADMIN})
    kept.request("PUT", "/v1/classify", b"text", {"X-Request-Id": "kept-2", **ADMIN})
    r = recent(kept)
    slow = next(e for e in r["slowest"] if e["id"] == "kept-1")
    assert (slow["model"], slow["status"], slow["trace"], slow["key"]) == ("inverse", 200, TRACE, "bosskey")
    assert slow["timing_ms"]["inference"] > 0 and slow["total_ms"] >= slow["timing_ms"]["inference"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", slow["time"])
    failed = next(e for e in r["failed"] if e["id"] == "kept-2")
    assert failed["status"] == 415 and failed["reason"] == "type" and failed["path"] == "/v1/classify" and failed["error"]
    assert [e["total_ms"] for e in r["slowest"]] == sorted((e["total_ms"] for e in r["slowest"]), reverse=True)


def test_a_flood_of_one_kind_leaves_the_others(kept):
    kept.request("PUT", "/v1/classify", RED[:60], {"X-Request-Id": "rare", **ADMIN})
    for i in range(50):
        kept.request("PUT", "/v1/classify" + "/" * 300, b"", {"X-Request-Id": f"flood-{i}", **ADMIN})
        kept.request("PUT", "/v1/models/colour_16/classify", RED, ADMIN)
    r = recent(kept)
    ids = [e["id"] for e in r["failed"]]
    assert "rare" in ids and {i for i in ids if i.startswith("flood")} == {f"flood-{i}" for i in (49, 48, 47, 46)}
    assert len(r["slowest"]) <= 40


@pytest.mark.parametrize("key, status", [("userkey", 403), ("nobody", 401)])
def test_only_the_administrator_sees_them(kept, key, status):
    assert kept.request("GET", "/debug/requests", headers={"X-API-Key": key}).status == status


def test_nobody_sees_them_without_keys(start):
    assert start().request("GET", "/debug/requests").status == 403
