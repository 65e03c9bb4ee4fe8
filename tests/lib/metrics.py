#!/usr/bin/python3
"""The list of metrics (server/handlers/metrics.def), read for its tests, and docs/METRICS.md, which is
written from it: `tests/lib/metrics.py > docs/METRICS.md`."""
import os
import re
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
LIST = "server/handlers/metrics.def"
DOCUMENT = "docs/METRICS.md"
REASONS = "server/handlers/reasons.def"
LABELS = {"MODEL": "model version", "LABEL": "model label version", "FAMILY": "family", "SERVER": ""}
ROW = re.compile(r'^(METRIC|MODEL|LABEL|FAMILY|SERVER)\((\w+), (counter|gauge|histogram), "([^"]*)",'
                 r'\s*((?:"[^"]*"(?:,\s*)?)+)', re.M)
SUFFIXES = {"seconds": "_seconds", "bytes": "_bytes", "cores": "_cores"}


def rows(text):
    """[(name, type, unit, [labels], help)] of the list's text."""
    found = []
    for kind, name, type_, unit, rest in ROW.findall(text):
        strings = re.findall(r'"([^"]*)"', rest)
        labels = strings.pop(0) if kind == "METRIC" else LABELS[kind]
        found.append((name, type_, unit, labels.split(), "".join(strings)))
    return found


def reasons():
    """[(name, status, help, options or "")] of the list of reasons."""
    with open(os.path.join(ROOT, REASONS), encoding="utf-8") as f:
        text = f.read()
    row = re.compile(r'^(?:REASON|LIMIT)\((\w+), (\d+), "([^"]*)"(?:,\s*"([^"]*)")?\)', re.M)
    return row.findall(text)


def faults(text, document):
    """Sentences: what is wrong with the list's text, and where the document differs from it."""
    listed = rows(text)
    opened = len(re.findall(r"^(?:METRIC|MODEL|LABEL|FAMILY|SERVER)\(", text, re.M))
    if not listed or opened != len(listed):
        yield f"{LIST}: {opened} rows, of which {len(listed)} can be read"
    for name, type_, unit, labels, sentence in listed:
        if (type_ == "counter") != name.endswith("_total"):
            yield f"{LIST}: {name} is a {type_}"
        if not name.removesuffix("_total").endswith(SUFFIXES.get(unit, "")):
            yield f"{LIST}: {name} does not end in its unit, {unit}"
        if not sentence.endswith("."):
            yield f"{LIST}: the help of {name} is no sentence"
        if "le" in labels or len(set(labels)) != len(labels):
            yield f"{LIST}: labels of {name}"
    if len({r[0] for r in listed}) != len(listed):
        yield f"{LIST}: a name is there twice"
    if document != markdown(listed):
        yield f"{DOCUMENT} is not what tests/lib/metrics.py writes"


def markdown(listed):
    lines = [
        "# Metrics", "",
        "What `GET /metrics` says, in Prometheus' text format (version 0.0.4), or in OpenMetrics 1.0 for who accepts",
        "`application/openmetrics-text`, with exemplars: the trace of a request that came with `traceparent`. With API keys it",
        "takes the scope `metrics` ([SECURITY](SECURITY.md)). Counters count since the start of the process; a histogram has",
        "`_bucket`, `_sum` and `_count`. A model has a bounded number of series, whatever clients do.", "",
        "While clients use up `max_inflight_bytes`, the first port has no room for this page either. `admin_http` always has.", "",
        "`deploy/prometheus/` has a scrape configuration, alert rules and their tests (`promtool test rules alerts.test.yml`),",
        "`deploy/grafana/mobilenetd.json` a dashboard to import.",
        "", "Written from `server/handlers/metrics.def` by `tests/lib/metrics.py`; a test compares the two.", "",
        "| metric | type | unit | labels | what |", "|---|---|---|---|---|"]
    for name, type_, unit, labels, sentence in listed:
        shown = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `mobilenetd_{name}` | {type_} | {unit} | {shown} | {sentence} |")
    lines += ["", "## Reasons", "",
              "`mobilenetd_requests_refused_total` counts every answer of 400 and above under one reason, which the log line has, too.",
              "Of what an option limits, the log says at most once a minute that it bites.", "",
              "| reason | status | what | options |", "|---|---|---|---|"]
    by_name = {"work": "429", "wait": "429", "queue": "429", "deadline": "429", "memory": "429", "stopping": "503"}
    for name, status, sentence, options in reasons():
        lines.append(f"| `{name}` | {by_name.get(name, status)} | {sentence} | {options} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with open(os.path.join(ROOT, LIST), encoding="utf-8") as f:
        sys.stdout.write(markdown(rows(f.read())))
