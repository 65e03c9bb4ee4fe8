"""Metrics as Prometheus sees them: both formats, what they say by model, and the alerts and the dashboard in front of them."""
import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

import debs
import metrics
import tinymodel
from daemon import ANY_PORT, Daemon, keys_file, wait_for
from pictures import BLUE, RED

pytestmark = pytest.mark.patient

OPEN = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
DEPLOY = os.path.join(metrics.ROOT, "deploy")


def promtool(*args, **kwargs):
    path, env = debs.program("promtool", "prometheus")
    if not path:
        pytest.skip(env)
    p = subprocess.run([path, *args], env=env, capture_output=True, text=True, timeout=300, **kwargs)
    assert p.returncode == 0, p.stdout + p.stderr
    return p.stdout + p.stderr


@pytest.fixture(scope="module")
def used(tiny_models):
    """A daemon that has met one request of each kind."""
    d = Daemon(tiny_models, "--max-body", "200000")
    for path in ("/v1/models/colour_16/classify", "/v1/models/colour/classify", "/v1/models/inverse/classify"):
        assert d.request("PUT", path, RED, {"traceparent": PARENT}).status == 200
    d.request("PUT", "/v1/models/colour_16/preprocess", BLUE)
    d.request("PUT", "/v1/classify", b"text")
    d.request("PUT", "/v1/classify", b"x" * 300000)
    d.request("GET", "/nowhere")
    yield d
    d.stop()


def test_promtool_finds_nothing_to_say(used):
    said = promtool("check", "metrics", input=used.request("GET", "/metrics").body.decode())
    assert not said.strip(), said


def test_times_are_told_by_model_variant_and_task(used):
    def count(**labels):
        return used.metric("mobilenetd_model_stage_seconds_count", **labels)

    assert count(model="colour_16", version="1", variant="16", task="classify", stage="total") >= 1
    assert count(model="inverse", task="classify", stage="inference") == 1
    assert count(model="colour_16", task="preprocess", stage="total") == 1
    assert count(model="inverse", task="preprocess") == 0
    assert used.metric("mobilenetd_model_confidence_count", model="inverse") == 1
    assert used.metric("mobilenetd_model_margin_count", model="inverse") == 1
    assert 0 < used.metric("mobilenetd_model_confidence_sum", model="inverse") <= 1
    assert used.metric("mobilenetd_model_kernel_layers", model="inverse") >= 1
    assert used.metric("mobilenetd_connections", port="http") == 1
    assert used.metric("mobilenetd_team_size_count") == used.metric("mobilenetd_batch_size_count") >= 3
    assert used.metric("mobilenetd_dispatches_total", reason="all") >= 3
    assert 0 < used.metric("mobilenetd_worker_busy_seconds_total")
    assert used.metric("mobilenetd_loop_turn_seconds_count") > 0


@pytest.mark.parametrize("reason", ["size", "type", "path"])
def test_a_refusal_is_counted_under_its_reason(used, reason):
    assert used.metric("mobilenetd_requests_refused_total", reason=reason) == 1


def test_refusals_for_load_and_keys_have_their_reasons(start, tmp_path):
    keys = keys_file(tmp_path, "slow infer 0.001/1", "reads metrics")
    d = start("--api-keys", keys)
    assert d.request("PUT", "/v1/classify", RED).status == 401
    assert d.request("PUT", "/v1/classify", RED, {"X-API-Key": "reads"}).status == 403
    assert d.request("PUT", "/v1/classify", RED, {"X-API-Key": "slow"}).status == 200
    assert d.request("PUT", "/v1/classify", RED, {"X-API-Key": "slow"}).status == 429
    text = d.request("GET", "/metrics", headers={"X-API-Key": "reads"}).body.decode()
    counted = dict(re.findall(r'^mobilenetd_requests_refused_total\{reason="(\w+)"\} (\d+)$', text, re.M))
    assert {k: v for k, v in counted.items() if v != "0"} == {"key": "1", "scope": "1", "rate": "1"}
    assert set(counted) == {r[0] for r in metrics.reasons()}


def test_openmetrics_when_asked(used):
    r = used.request("GET", "/metrics", headers=OPEN)
    assert r.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    text = r.body.decode()
    assert text.endswith("\n# EOF\n") and "\n\n" not in text
    assert "# TYPE mobilenetd_requests counter\n" in text and "\nmobilenetd_requests_total{" in text
    exemplar = re.compile(rf'^mobilenetd_model_stage_seconds_bucket\{{.*stage="total",le="[^"]+"\}} \d+ '
                          rf'# \{{trace_id="{TRACE}"\}} \d\S* \d+\.\d{{3}}$', re.M)
    assert len(exemplar.findall(text)) >= 3
    assert not re.search(r'le="\d+"', text), "OpenMetrics wants floats"
    plain = used.request("GET", "/metrics").body.decode()
    assert TRACE not in plain and "# EOF" not in plain


@pytest.mark.parametrize("given", ["", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01",
                                   PARENT.upper(), PARENT + "-x", "ff" + PARENT[2:], PARENT[:-1], f"00-{TRACE[:-1]}\"-00f067aa0ba902b7-01"])
def test_what_is_no_traceparent_is_no_trace(used, given):
    def exemplars():
        return used.request("GET", "/metrics", headers=OPEN).body.decode().count("trace_id=")

    before = exemplars()
    assert used.request("PUT", "/v1/models/colour_32/classify", RED, {"traceparent": given}).status == 200
    assert exemplars() == before


@pytest.mark.slow
def test_alert_rules_fire_when_they_should():
    promtool("check", "config", os.path.join(DEPLOY, "prometheus", "prometheus.yml"))
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yml", cwd=os.path.join(DEPLOY, "prometheus"))
    with open(os.path.join(DEPLOY, "prometheus", "alerts.yml")) as f:
        alerts = set(re.findall(r"alert: (\w+)", f.read()))
    with open(os.path.join(DEPLOY, "prometheus", "alerts.test.yml")) as f:
        text = f.read()
    fired = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", text))
    assert fired == alerts, "each alert is seen firing"


def dashboard():
    """[(title, expression)] as Grafana would ask it: its variables are All, and an interval."""
    with open(os.path.join(DEPLOY, "grafana", "mobilenetd.json")) as f:
        board = json.load(f)
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            expr = re.sub(r"\$(?:instance|model)", ".*", target["expr"]).replace("$__rate_interval", "1m")
            assert "$" not in expr, expr
            yield panel["title"], expr


def rules():
    with open(os.path.join(DEPLOY, "prometheus", "alerts.yml")) as f:
        text = f.read()
    return re.findall(r"expr: (?:\|\n)?((?:.|\n)*?)\n {8}\w+:", text)


def test_dashboard_and_alerts_name_metrics_that_there_are():
    with open(os.path.join(metrics.ROOT, metrics.LIST), encoding="utf-8") as f:
        listed = {"mobilenetd_" + r[0] for r in metrics.rows(f.read())}
    exprs = [e for _, e in dashboard()] + rules()
    assert len(exprs) > 40
    for expr in exprs:
        for name in re.findall(r"mobilenetd_\w+", expr):
            assert name in listed or re.sub(r"_(bucket|sum|count)$", "", name) in listed, name


class Prometheus:
    """A real one that scrapes a daemon every second."""

    def __init__(self, at, target):
        path, env = debs.program("prometheus", "prometheus")
        if not path:
            pytest.skip(env)
        config = at / "prometheus.yml"
        config.write_text("scrape_configs:\n  - job_name: mobilenetd\n    scrape_interval: 1s\n"
                          f"    static_configs:\n      - targets: [\"{target}\"]\n")
        self.log = open(at / "log", "w+")
        self.process = subprocess.Popen(
            [path, f"--config.file={config}", f"--storage.tsdb.path={at / 'data'}", f"--web.listen-address={ANY_PORT}",
             "--enable-feature=exemplar-storage"], env=env, stdout=self.log, stderr=subprocess.STDOUT, cwd=at)
        wait_for(lambda: self.process.poll() is not None or self.address())
        self.url = "http://" + (self.address() or "nowhere")

    def address(self):
        """It does not tell which port it got; the kernel does."""
        held = set()
        for fd in os.listdir(f"/proc/{self.process.pid}/fd"):
            try:
                held.add(os.readlink(f"/proc/{self.process.pid}/fd/{fd}"))
            except OSError:
                pass
        with open("/proc/net/tcp") as f:
            for line in f:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in held:
                    return "127.0.0.1:%d" % int(fields[1].split(":")[1], 16)
        return None

    def ask(self, what, **query):
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as r:
                return json.load(r)["data"]
        except urllib.error.HTTPError as e:
            return {"result": [], "error": e.read().decode()} if e.code == 503 else pytest.fail(e.read().decode())

    def values(self, expr):
        return [s["value"][1] for s in self.ask("query", query=expr)["result"]]

    def stop(self):
        self.process.terminate()
        self.process.wait(120)
        self.log.close()


@pytest.fixture(scope="module")
def scraped(used, tmp_path_factory):
    p = Prometheus(tmp_path_factory.mktemp("prometheus"), used.address)
    yield p
    p.stop()


@pytest.mark.slow
def test_a_real_prometheus_scrapes(used, scraped):
    """Under load, and every expression of the dashboard has something to show."""
    missing = dict.fromkeys(expr for _, expr in dashboard())
    end = time.monotonic() + 600
    while missing and time.monotonic() < end:
        for _ in range(5):
            used.request("PUT", "/v1/models/colour/classify", RED, {"traceparent": PARENT})
            used.request("PUT", "/v1/classify", b"text")
        for expr in list(missing):
            values = [v for v in scraped.values(expr) if v != "NaN"]
            if values:
                del missing[expr]
    assert not missing, list(missing)
    assert scraped.values("up") == ["1"]
    found = scraped.ask("query_exemplars", query="mobilenetd_model_stage_seconds_bucket", start=time.time() - 3600, end=time.time())
    assert {e["labels"]["trace_id"] for s in found for e in s["exemplars"]} == {TRACE}


@pytest.mark.slow
def test_a_real_prometheus_parses_the_alerts(scraped):
    for expr in rules():
        scraped.values(expr)


def test_a_model_has_a_bounded_number_of_series(start, tmp_path):
    """Whatever clients send: the worst of names, ids and queries."""
    tinymodel.write(str(tmp_path), "one", 16)
    d = start(models=tmp_path)

    def series():
        lines = d.request("GET", "/metrics").body.decode().splitlines()
        return sum('model="' in line for line in lines)

    for path in ("classify", "embed", "preprocess"):
        d.request("PUT", f"/v1/models/one/{path}", RED)
    before = series()
    for i in range(20):
        d.request("PUT", f"/v1/models/one/classify?top_k={i % 3 + 1}", RED, {"X-Request-Id": f"id-{i}"})
        d.request("PUT", f"/v1/models/nobody{i}/classify", RED)
    assert series() == before < 400
