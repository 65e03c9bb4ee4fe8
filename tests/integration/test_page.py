"""The page at /: what a browser gets and what curl gets, and what a person can do on it, in headless Chromium."""
import gzip
import hashlib
import base64
import json
import os
import re
import shutil
import subprocess

import pytest
from PIL import Image

import npm
from daemon import Daemon, keys_file
from pictures import RED, plain

pytestmark = pytest.mark.patient

TEACHER = "mobilenet_v1_0.25_128"
HERE = os.path.dirname(os.path.abspath(__file__))
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Encoding": "gzip, deflate, br"}


def test_browsers_get_the_page_and_curl_its_list(tiny):
    page = tiny.request("GET", "/", headers=BROWSER)
    assert (page.status, page.headers["Content-Type"], page.headers["Content-Encoding"]) == (200, "text/html; charset=utf-8", "gzip")
    text = gzip.decompress(page.body).decode()
    assert text.startswith("<!doctype html>") and "@" not in re.findall(r"@(?:STYLE|SCRIPT|ICON)@", text)
    listed = tiny.request("GET", "/", headers={"Accept": "*/*"})
    assert listed.headers["Content-Type"].startswith("text/plain") and "/v1/classify" in listed.body.decode()
    plain = tiny.request("GET", "/", headers={"Accept": "text/html"})
    assert "Content-Encoding" not in plain.headers and plain.body.decode() == text
    assert page.headers["Vary"] == listed.headers["Vary"] == "Accept, Accept-Encoding"
    print(f"the page: {len(page.body)} bytes, {len(text)} unpacked")
    assert len(page.body) < 30000


def test_the_list_stands_in_columns(tiny):
    lines = tiny.request("GET", "/").body.decode().split("\n\n")[1].splitlines()
    assert len({line.index("/") for line in lines}) == 1
    assert len({re.match(r"[A-Z, ]+/\S* +", line).end() for line in lines}) == 1


def test_the_page_may_run_its_own_script_alone(tiny):
    page = tiny.request("GET", "/", headers=BROWSER)
    text, policy = gzip.decompress(page.body).decode(), page.headers["Content-Security-Policy"]
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        inside = re.search(rf"<{tag}>(.*)</{tag}>", text, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert not re.search(r"<[^>]+ (?:style|on\w+)=", text), "neither would run"
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)


def test_the_page_is_kept_by_its_tag(tiny):
    tag = tiny.request("GET", "/", headers=BROWSER).headers["ETag"]
    assert tiny.request("GET", "/", headers={**BROWSER, "If-None-Match": tag}).status == 304


def test_the_page_can_be_switched_off(start):
    r = start("--no-page").request("GET", "/", headers=BROWSER)
    assert r.headers["Content-Type"].startswith("text/plain")


def test_the_page_needs_no_key_and_all_behind_it_does(start, tmp_path):
    d = start("--api-keys", keys_file(tmp_path, "somekey infer"))
    assert d.request("GET", "/", headers=BROWSER).status == 200
    for path in ("/", "/v1/models", "/v1/events", "/v1/models/inverse/layers"):
        assert d.request("GET", path).status == 401, path
    assert d.request("GET", "/", headers={"X-API-Key": "somekey"}).status == 200


def test_layers_of_a_model(tiny):
    r = tiny.request("GET", "/v1/models/inverse/layers").json
    assert r["model"] == "inverse" and r["weight_bytes"] > 0 and len(r["layers"]) >= 2
    total = {m["name"]: m["mult_adds"] for m in tiny.request("GET", "/v1/models").json["models"]}["inverse"]
    assert sum(layer["mult_adds"] for layer in r["layers"]) == total
    assert tiny.request("GET", "/v1/models/nobody/layers").status == 404


def test_events_tell_of_the_load(tiny):
    c = tiny.connect()
    c.request("GET", "/v1/events")
    r = c.getresponse()
    assert r.status == 200 and r.headers["Content-Type"] == "application/x-ndjson"
    first = json.loads(r.readline())
    assert {"answers_per_s", "p99_ms", "queue", "batch", "busy", "cpu", "families", "models"} <= set(first)
    for _ in range(10):
        tiny.classify(RED)
    rate = 0
    while rate == 0:  # it comes with the next line or the one after
        rate = json.loads(r.readline())["answers_per_s"]
    assert rate > 0 and tiny.classify(RED).status == 200
    c.close()


def test_events_over_http2(tiny):
    if not shutil.which("curl"):
        pytest.skip("no curl")
    p = subprocess.Popen(["curl", "-sN", "--http2-prior-knowledge", f"http://127.0.0.1:{tiny.grpc_port}/v1/events"], stdout=subprocess.PIPE)
    try:
        assert [json.loads(p.stdout.readline())["workers"] > 0 for _ in range(2)] == [True, True]
    finally:
        p.kill()
        p.wait()


def test_watchers_are_bounded_and_do_not_hold_up_the_end(start):
    d = start()
    connections = []
    for _ in range(16):
        c = d.connect()
        c.request("GET", "/v1/events")
        connections.append(c)
    assert all(c.getresponse().readline() for c in connections)
    assert d.request("GET", "/v1/events").status == 429
    d.signal()
    assert d.wait() == 0


@pytest.fixture(scope="module")
def seen(request, tiny_models, tmp_path_factory):
    """What a person saw: one walk through the page, judged by many tests."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("no chromium")
    try:
        peers = npm.install("playwright-core@1.48.2", "axe-core@4.10.2")
    except npm.Missing as e:
        pytest.skip(str(e))
    folder = os.environ.get("MOBILENETD_SHOTS") or str(tmp_path_factory.mktemp("page"))
    os.makedirs(folder, exist_ok=True)
    photo = os.path.join(folder, "photo.png")
    with open(photo, "wb") as f:
        f.write(plain((200, 30, 20), (320, 240)))
    for n, colour in ((1, (250, 10, 10)), (2, (10, 10, 250))):
        for i in (1, 2, 3):
            Image.new("RGB", (32 + i, 32), colour).save(os.path.join(folder, f"class{n}-{i}.png"))
    own = tmp_path_factory.mktemp("models")
    shutil.copytree(tiny_models, own, dirs_exist_ok=True)
    try:  # the tiny ones have no embedding to teach on
        shutil.copytree(request.getfixturevalue("real_models") / TEACHER, own / TEACHER)
    except pytest.skip.Exception:
        pass
    d = Daemon(own, "--admin", "--api-keys", keys_file(folder, "pagekey infer,admin,metrics"))
    try:
        p = subprocess.run(["node", os.path.join(HERE, "page.cjs"), program, d.url + "/", "pagekey", photo, folder],
                           capture_output=True, text=True, timeout=900, env=dict(os.environ, PEERS=peers))
        assert p.stdout, p.stderr[-3000:]
        found = json.loads(p.stdout.splitlines()[-1])
        found["host"] = d.url
        assert "failed" not in found, json.dumps({k: found[k] for k in ("failed", "errors", "console")}, indent=1)[:6000]
        yield found
    finally:
        d.stop()


@pytest.mark.slow
class TestInABrowser:
    def test_it_asks_for_a_key(self, seen):
        assert "key" in seen["refused"] and seen["key_asked"] == "key"
        assert {m.split()[0] for m in seen["models"]} >= {"colour_16", "colour_32", "inverse"}

    def test_a_picture_chosen_dropped_pasted_or_photographed_is_answered(self, seen):
        assert "red" in seen["classes"][0] and "%" in seen["classes"][0]
        for how in ("dropped", "pasted", "by_keyboard"):
            assert seen[how] == seen["classes"], how
        assert seen["photographed"]

    def test_it_says_who_answered_how_fast_and_the_same_from_a_terminal(self, seen):
        assert [re.match("[a-z]+", s)[0] for s in seen["stages"]] == ["queue", "decode", "preprocess", "inference", "total"]
        assert "version 1, variant" in seen["who"]
        assert seen["curl"] == f"""curl -T 'photo.png' -H "X-API-Key: $KEY" '{seen["host"]}/v1/classify?top_k=5'"""

    def test_the_ladder_and_the_layers(self, seen):
        assert [(row[0], row[1]) for row in seen["ladder"]] == [("32", "red"), ("16", "red")]
        assert seen["layers"] >= 2

    def test_the_board_shows_the_load(self, seen):
        assert float(seen["board"]["answers a second"]) > 0 and float(seen["board"]["p99, ms"]) > 0
        assert any("colour" in line for line in seen["in_use"])

    def test_it_teaches(self, seen):
        if not any(m.startswith(TEACHER) for m in seen["models"]):
            pytest.skip("no real model to teach on")
        assert seen["taught"].startswith("taught_here knows class_1, class_2")

    def test_an_error_is_said_in_the_server_s_words(self, seen):
        assert seen["broken"].endswith(".") or len(seen["broken"]) > 20

    def test_axe_finds_nothing_serious(self, seen):
        assert set(seen["axe"]) == {"first", "answered", "live", "error", "phone-dark"}
        assert not {k: v for k, v in seen["axe"].items() if any(x.startswith(("serious", "critical")) for x in v)}

    def test_no_request_leaves_the_host(self, seen):
        assert len(seen["requests"]) > 20
        assert [r for r in seen["requests"] if not r.startswith((seen["host"] + "/", "data:", "blob:"))] == []

    def test_nothing_is_refused_or_thrown(self, seen):
        assert seen["errors"] == []
        assert not [m for m in seen["console"] if "Content Security Policy" in m], seen["console"]

    def test_a_phone_needs_no_sideways_scrolling(self, seen):
        assert seen["overflow"] <= 0

    def test_the_keyboard_reaches_everything_in_order(self, seen):
        at = seen["tabs"].index
        assert at("#try") < at("file") < at("camera") < at("model")
