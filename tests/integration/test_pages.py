"""What operators read: health, the list of models, metrics, the log."""
import json
import os
import re
import subprocess
import time
import urllib.parse

import pytest

import metrics
import tinymodel
from daemon import BINARY, logged
from pictures import RED

SAMPLE = re.compile(r'[a-zA-Z_:][\w:]*(?:\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (?:-?[\d.]+(?:e[-+]?\d+)?|\+Inf|NaN)')


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/healthz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health(tiny, path, method):
    assert tiny.request(method, path).status == 200


def test_models(tiny):
    models = {m["name"]: m for m in tiny.request("GET", "/v1/models").json["models"]}
    assert set(models) == {"colour_16", "colour_32", "inverse"}
    assert (models["colour_16"]["family"], models["colour_16"]["variant"]) == ("colour", "16")
    assert models["colour_32"]["input"] == {"height": 32, "width": 32}
    assert models["colour_32"]["mult_adds"] == 4 * models["colour_16"]["mult_adds"]
    assert {m["state"] for m in models.values()} == {"ready"}
    assert all(m["classes"] == 3 and m["licence"] == "Apache-2.0" for m in models.values())
    assert any(m["default"] for m in models.values())


def check_metrics(d):
    r = d.request("GET", "/metrics")
    assert r.status == 200 and r.headers["Content-Type"].startswith("text/plain")
    typed = set()
    for line in r.body.decode().splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in typed, f"{name} is typed twice"
            typed.add(name)
        elif line and not line.startswith("#"):
            assert SAMPLE.fullmatch(line), line
            name = re.match(r"[\w:]+", line).group(0)
            assert name in typed or re.sub(r"_(bucket|sum|count)$", "", name) in typed, f"{name} has no type"
    assert typed and all(name.startswith("mobilenetd_") for name in typed), typed
    return r.body.decode()


def test_metrics_are_prometheus_text(tiny):
    tiny.classify(RED)
    check_metrics(tiny)


def test_metrics_are_those_of_the_list(start):
    """Every one of them, in its order, with its type, its words and its labels, and no other."""
    d = start("--cache-bytes", "100000")
    d.classify(RED)
    text = d.request("GET", "/metrics").body.decode()
    with open(os.path.join(metrics.ROOT, metrics.LIST), encoding="utf-8") as f:
        listed = metrics.rows(f.read())
    assert re.findall(r"^# HELP mobilenetd_(\w+) (.*)$", text, re.M) == [(r[0], r[4]) for r in listed]
    assert re.findall(r"^# TYPE mobilenetd_(\w+) (.*)$", text, re.M) == [(r[0], r[1]) for r in listed]
    labels = {r[0]: r[3] for r in listed}
    for name, inside in re.findall(r"^mobilenetd_(\w+?)(?:\{(.*)\})? \S+$", text, re.M):
        name = name if name in labels else re.sub(r"_(bucket|sum|count)$", "", name)
        assert [k for k in re.findall(r'(\w+)="', inside) if k != "le"] == labels[name], name


def test_names_of_models_forge_no_metrics(start, tmp_path):
    name, family, variant = 'a"} 1\nmobilenetd_ready 0\n{x="\\', 'f"} 7\nmobilenetd_ready 0\n#\\', "caf\u00e9\t"
    tinymodel.write(str(tmp_path), name, 16, family, variant)
    bad = os.path.join(os.fsencode(tmp_path), b"bytes\xff\xc3")
    tinymodel.write(str(tmp_path), "b", 16)
    os.rename(tmp_path / "b", bad)
    d = start("--default-model", family, models=tmp_path)
    d.classify(RED)
    text = check_metrics(d)

    def values(label):
        found = set(re.findall(rf'[{{,]{label}="((?:[^"\\]|\\.)*)"', text))
        return {re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], v) for v in found}

    assert values("model") == {name, "bytes\ufffd\ufffd"}
    assert values("family") == {family, ""} and values("variant") == {variant, ""}
    assert re.findall("^mobilenetd_ready .*", text, re.M) == ["mobilenetd_ready 1"]


def numbers(d):
    out = {}
    for line in d.request("GET", "/metrics").body.decode().splitlines():
        if line and line[0] != "#":
            key, _, value = line.rpartition(" ")
            out[key] = float(value)
    return out


def test_metrics_count(tiny):
    before = numbers(tiny)
    for _ in range(5):
        tiny.classify(RED)
    tiny.classify(b"text")
    after = numbers(tiny)
    grown = {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}
    by_five = [k for k, v in grown.items() if v == 5 and "total" in k and "200" in k]
    by_one = [k for k, v in grown.items() if v == 1 and "total" in k and "415" in k]
    assert by_five and by_one, grown


def entries(d):
    out = []
    for line in d.log().splitlines():
        try:
            out.append(json.loads(line))
        except ValueError:
            raise AssertionError(f"not a JSON line: {line}") from None
    return out


def test_log_has_a_json_line_for_each_request(tiny):
    ids = ["of-the-log-1", "of-the-log-2"]
    tiny.classify(RED, headers={"X-Request-Id": ids[0]})
    tiny.classify(RED, "?model=nobody", headers={"X-Request-Id": ids[1]})
    end = time.monotonic() + 5
    lines = []
    while time.monotonic() < end and len(lines) < 2:
        time.sleep(0.05)
        lines = [e for e in entries(tiny) if e.get("id") in ids]
    assert [(e["id"], e["status"]) for e in lines] == [(ids[0], 200), (ids[1], 404)]
    assert lines[0]["model"] in ("colour", "colour_32")
    assert any(k.startswith("inference") for k in lines[0]), lines[0]


@pytest.mark.parametrize("method, path, body", [
    ("PUT", "/v1/classify?model=nobody", RED), ("PUT", "/v1/classify", b"text"), ("PUT", "/v1/classify", RED[:60]),
    ("GET", "/v1/classify", None), ("GET", "/nothing" + "/more" * 600, None), ("GET", "ftp://x/", None),
    ("GET", "/v2/models/nobody", None), ("POST", "/v1/models/colour_16:predict", b"{}"),
    ("POST", "/v2/repository/models/x/load", b"")], ids=range(9))
def test_the_log_says_why_a_request_is_refused(tiny, method, path, body):
    name = f"why-{method}-{len(path)}-{len(body or b'')}"
    r = tiny.request(method, path, body, {"X-Request-Id": name})
    assert r.status >= 400
    end, lines = time.monotonic() + 20, []
    while time.monotonic() < end and not lines:
        lines = [e for e in entries(tiny) if e.get("id") == name]
    assert (lines[0]["status"], lines[0]["error"]) == (r.status, r.json["error"])


@pytest.mark.parametrize("name", ["caf\u00e9 \u2192 \U0001f427", 'a"\\b\n\x7f\u009b31m'], ids=["letters", "controls"])
def test_the_json_log_is_utf8_without_controls(tiny, name):
    mark = f"utf8-{len(name)}"
    r = tiny.request("PUT", "/v1/classify?model=" + urllib.parse.quote(name), RED, {"X-Request-Id": mark})
    assert name in r.json["error"]
    end, lines = time.monotonic() + 20, []
    while time.monotonic() < end and not lines:
        lines = [line for line in tiny.log().splitlines() if mark in line]
    assert json.loads(lines[0])["error"] == r.json["error"]
    assert not re.search("[\x00-\x1f\x7f-\x9f]", lines[0])


def test_bytes_that_are_no_utf8_in_the_json_log(tiny):
    with tiny.socket(20) as s:  # as a path, with raw bytes
        s.sendall(b"GET /a\xff\xc3\xa9\xc3 HTTP/1.1\r\nHost: x\r\nX-Request-Id: raw-bytes\r\nConnection: close\r\n\r\n")
        assert s.makefile("rb").read()
    end, lines = time.monotonic() + 20, []
    while time.monotonic() < end and not lines:
        lines = [e for e in entries(tiny) if e.get("id") == "raw-bytes"]
    assert lines[0]["path"] == "/a\ufffd\u00e9\ufffd"


def refused_start(models, *flags, env=None):
    p = subprocess.run([BINARY, "serve", "--models", str(models), "--grpc", "", *flags], capture_output=True, text=True,
                       timeout=60, env=dict(os.environ, **(env or {})))
    assert p.returncode in (1, 2), p.stderr
    return p.stderr.splitlines()


JSON_LOG = ("--log-format", "json")


@pytest.mark.parametrize("flags, env, reason", [
    ((*JSON_LOG, "--http", "127.0.0.1"), {}, "--http"),
    (("--http", "127.0.0.1", "--log-format=json"), {}, "--http"),
    (("--htp", "127.0.0.1:0", *JSON_LOG), {}, "did you mean --http?"),
    (("stray", *JSON_LOG), {}, "stray"),
    (("--http", "127.0.0.1"), {"MOBILENETD_LOG_FORMAT": "json"}, "--http"),
    ((), {"MOBILENETD_LOG_FORMAT": "json", "MOBILENETD_HTTP": "x"}, "MOBILENETD_HTTP"),
    ((*JSON_LOG, "--default-model", "nobody", "--http", "127.0.0.1:0"), {}, "nobody"),
    ((*JSON_LOG, "--api-keys", "/nowhere/keys", "--http", "127.0.0.1:0"), {"MOBILENETD_LOG_FORMAT": "text"}, "/nowhere/keys")],
    ids=range(8))
def test_the_reason_of_no_start_is_a_line_of_the_log(tiny_models, flags, env, reason):
    lines = [json.loads(line) for line in refused_start(tiny_models, *flags, env=env)]
    assert lines[-1]["level"] == "error" and reason in lines[-1]["message"] and lines[-1]["time"]


def test_the_reason_of_no_start_with_the_format_in_a_file(tiny_models, tmp_path):
    conf = tmp_path / "a.conf"
    conf.write_text("log_format = json\nmax_batch = many\n")
    for flags, env in ((("--config", str(conf)), {}), ((), {"MOBILENETD_CONFIG": str(conf)})):
        line, = refused_start(tiny_models, *flags, env=env)
        assert "max_batch" in json.loads(line)["message"]
    line, = refused_start(tiny_models, "--config", str(conf), "--log-format", "text")
    assert line.startswith("mobilenetd serve: ") and "max_batch" in line


def test_text_log_and_its_switch(start):
    d = start("--log-format", "text")
    d.classify(RED, headers={"X-Request-Id": "of-the-text-log"})
    assert logged(d, "of-the-text-log")
    assert [line for line in d.log().splitlines() if "of-the-text-log" in line and "colour" in line and "200" in line]
    quiet = start(env={"MOBILENETD_LOG_REQUESTS": "false"})
    quiet.classify(RED, headers={"X-Request-Id": "of-no-log"})
    quiet.signal()
    assert quiet.wait() == 0 and "of-no-log" not in quiet.log()


def test_root_lists_the_routes(tiny):
    r = tiny.request("GET", "/")
    assert r.status == 200 and "/v1/classify" in r.body.decode()
    assert tiny.request("DELETE", "/").status == 405
