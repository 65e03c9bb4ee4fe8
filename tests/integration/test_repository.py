"""Models at run time: load and unload by calls, what fails leaves the old in service, versions and labels."""
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

import tinymodel
from daemon import BINARY, keys_file, Load, logged, wait_for
from pictures import GREEN, RED
from test_grpc import Client, code_of, grpc, pb  # noqa: F401

KEYS = ("root-5f1c infer,admin,metrics", "alice infer")
ROOT = {"Authorization": "Bearer root-5f1c"}
TURNED = ["background", "blue", "green", "red"]  # what the second versions say


@pytest.fixture
def repository(tmp_path):
    path = tmp_path / "models"
    for name in ("one", "two"):
        tinymodel.write(str(path), name, 16)
    return path


@pytest.fixture
def admin(start, repository, tmp_path):
    """A daemon that may be told to load and unload; start it when the repository is as wanted."""
    def make(*flags):
        return start("--admin", "--api-keys", keys_file(tmp_path, *KEYS), *flags, models=repository)
    return make


def ask(d, method, path, body=None, key="root-5f1c"):
    return d.request(method, path, body, {"Authorization": f"Bearer {key}"})


def repo(d, name, what, body=None, key="root-5f1c"):
    return ask(d, "POST", f"/v2/repository/models/{name}/{what}", body, key)


def index(d):
    return {(m["name"], m["version"]): (m["state"], m["reason"])
            for m in ask(d, "POST", "/v2/repository/index", "{}").json}


def classify(d, name, query="", body=RED, headers=ROOT):
    return d.request("PUT", f"/v1/models/{name}/classify{query}", body, headers)


def metric(d, name, **labels):
    total = 0
    for line in ask(d, "GET", "/metrics").body.decode().splitlines():
        if line.startswith(name + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.split()[-1])
        elif line.startswith(name + " "):
            total += float(line.split()[-1])
    return total


def damage(repository, name, version=1):
    (repository / name / str(version) / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3" + b"\xff" * 100)


# ---- load and unload ----

def test_load_and_unload(admin, repository):
    d = admin()
    assert "model_repository" in ask(d, "GET", "/v2").json["extensions"]
    r = repo(d, "two", "unload", "{}")
    assert r.status == 200 and r.json == {}
    assert index(d) == {("one", "1"): ("READY", ""), ("two", ""): ("UNAVAILABLE", "unloaded")}
    assert classify(d, "two").status == 404 and ask(d, "GET", "/v2/models/two").status == 404
    assert classify(d, "one").status == 200
    d.signal(signal.SIGHUP)  # a reload does not bring it back
    wait_for(lambda: metric(d, "mobilenetd_reloads_total") == 1)
    assert index(d)[("two", "")] == ("UNAVAILABLE", "unloaded")
    assert repo(d, "two", "load").status == 200
    assert index(d) == {("one", "1"): ("READY", ""), ("two", "1"): ("READY", "")}
    assert classify(d, "two").json["predictions"][0]["label"] == "red"
    assert metric(d, "mobilenetd_model_loads_total") == metric(d, "mobilenetd_model_unloads_total") == 1


def test_the_default_may_go(admin):
    d = admin()
    assert repo(d, "one", "unload").status == repo(d, "two", "unload").status == 200
    assert d.request("PUT", "/v1/classify", RED, ROOT).status == 404
    assert d.request("GET", "/v2/health/ready").status == 200
    assert ask(d, "GET", "/v1/models").json["models"] == [] and ask(d, "GET", "/v2/models/stats").status == 200
    assert repo(d, "two", "load").status == 200
    assert d.request("PUT", "/v1/classify", RED, ROOT).status == 404  # it was "one", and nobody chose another
    assert logged(d, "the default model one is not served now")
    assert repo(d, "one", "load").status == 200
    assert default(d) == "one"


def default(d):
    named = [m["name"] for m in ask(d, "GET", "/v1/models").json["models"] if m["default"]]
    r = d.request("PUT", "/v1/classify", RED, ROOT)
    assert (r.status, named) in ((200, [r.json.get("model")]), (404, []))
    return r.json.get("model")


def reread(d):
    before = metric(d, "mobilenetd_reloads_total")
    d.signal(signal.SIGHUP)
    wait_for(lambda: metric(d, "mobilenetd_reloads_total") > before)


def test_the_default_is_chosen_at_the_start(admin, repository, tmp_path):
    """What comes later, from whomever, does not answer for it, though it be the first by name."""
    conf = tmp_path / "mobilenetd.conf"
    conf.write_text("")
    d = admin("--config", str(conf))
    assert logged(d, "default model one (the first; option default_model sets it)")
    tinymodel.write(str(repository), "a_new_one", 16, labels=TURNED)
    assert repo(d, "a_new_one", "load").status == 200 and default(d) == "one"
    reread(d)
    assert default(d) == "one"
    conf.write_text("default_model = two\n")
    reread(d)
    assert default(d) == "two" and logged(d, "default two")
    conf.write_text("")
    reread(d)
    assert default(d) == "a_new_one"  # the configuration has changed: as at a start
    shutil.rmtree(repository / "a_new_one")
    reread(d)
    assert default(d) is None and logged(d, "the default model a_new_one is not served now")
    assert classify(d, "one").status == 200


@pytest.mark.parametrize("flags", [(), ("--watch-models-ms", "100")])
def test_the_default_stays_while_the_repository_changes(start, repository, flags):
    d = start(*flags, models=repository)
    tinymodel.write(str(repository), "a_new_one", 16, labels=TURNED)
    if not flags:
        d.signal(signal.SIGHUP)
    wait_for(lambda: classify(d, "a_new_one").status == 200)
    assert default(d) == "one"


def test_a_new_model_is_found(admin, repository):
    d = admin()
    tinymodel.write(str(repository), "three", 16, labels=TURNED)
    assert classify(d, "three").status == 404
    assert repo(d, "three", "load").status == 200
    assert classify(d, "three").json["predictions"][0]["label"] == "blue"


def test_what_cannot_be_loaded(admin, repository):
    d = admin()
    for name in ("nobody", "%2e%2e", "..%2Fmodels%2Fone", ".hidden", "one%2F1"):
        r = repo(d, name, "load")
        assert r.status == 400 and "failed to load" in r.json["error"], (name, r.body)
    assert repo(d, "nobody", "unload").status == 400
    for body in ("[", '{"parameters":1}', '{"parameters":{"config":"{}"}}', '{"parameters":{"file:1/model":"AA=="}}'):
        assert repo(d, "one", "load", body).status == 400, body
    assert repo(d, "one", "unload", '{"parameters":{"unload_dependents":true}}').status == 200


def test_a_load_that_fails_leaves_the_old(admin, repository):
    d = admin()
    damage(repository, "one")
    r = repo(d, "one", "load")
    assert r.status == 400 and "what was served still is" in r.json["error"]
    state, reason = index(d)[("one", "1")]
    assert state == "READY" and reason
    assert logged(d, reason)
    assert classify(d, "one").json["predictions"][0]["label"] == "red"
    shutil.rmtree(repository / "one")
    tinymodel.write(str(repository), "one", 16, labels=TURNED)
    assert repo(d, "one", "load").status == 200
    assert index(d)[("one", "1")] == ("READY", "")
    assert classify(d, "one").json["predictions"][0]["label"] == "blue"


def test_who_may(start, admin, repository, tmp_path):
    d = admin()
    for what in ("load", "unload"):
        assert repo(d, "one", what, key="alice").status == 403
        assert repo(d, "one", what, key="nobody").status == 401
    assert ask(d, "GET", "/v2/repository/models/one/load").status == 405
    closed = start(models=repository)
    r = closed.request("POST", "/v2/repository/models/one/unload")
    assert r.status == 403 and "admin" in r.json["error"]
    keyed = start("--api-keys", keys_file(tmp_path, *KEYS), models=repository)
    assert repo(keyed, "one", "load").status == 403
    assert classify(closed, "one").status == 200


def test_over_grpc(admin, repository, pb):  # noqa: F811
    d = admin()
    c = Client(d, pb)
    key = {"_options": {"metadata": [("authorization", "Bearer root-5f1c")]}}
    c.call("RepositoryModelUnload", model_name="two", **key)
    assert index(d)[("two", "")] == ("UNAVAILABLE", "unloaded")
    models = {m.name: (m.state, m.reason) for m in c.call("RepositoryIndex", **key).models}
    assert models == {"one": ("READY", ""), "two": ("UNAVAILABLE", "unloaded")}
    c.call("RepositoryModelLoad", model_name="two", **key)
    assert index(d)[("two", "1")] == ("READY", "")
    assert code_of(c.call, "RepositoryModelLoad", model_name="nobody", **key)[0] == grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(c.call, "RepositoryModelLoad", model_name="x" * 300, **key)[0] == grpc.StatusCode.INVALID_ARGUMENT
    low = {"_options": {"metadata": [("authorization", "Bearer alice")]}}
    assert code_of(c.call, "RepositoryModelUnload", model_name="one", **low)[0] == grpc.StatusCode.PERMISSION_DENIED
    c.channel.close()


def test_loading_under_load_fails_nothing(admin, repository):
    """One model is loaded again and again while it is asked, another comes and goes."""
    d = admin()
    load = Load(d, "/v1/models/one/classify", RED, ROOT)
    for i in range(20):
        os.utime(repository / "one" / "1" / "model.json", (i + 1, i + 1))
        if i == 10:
            damage(repository, "two")
        assert repo(d, "one", "load").status == 200
        assert repo(d, "two", "unload").status == 200
        assert repo(d, "two", "load").status == (200 if i < 10 else 400)
        if i >= 10:
            tinymodel.write(str(repository), f"more{i}", 16)
            assert repo(d, f"more{i}", "load").status == 200
            shutil.rmtree(repository / "two")
            tinymodel.write(str(repository), "two", 16)
            assert repo(d, "two", "load").status == 200
            damage(repository, "two")
    load.end()


def test_clients_that_leave_and_a_stop_meanwhile(admin, repository):
    d = admin("--drain-timeout-ms", "200")
    for _ in range(40):
        with d.socket() as s:
            s.sendall(b"POST /v2/repository/models/one/load HTTP/1.1\r\nHost: x\r\n"
                      b"Authorization: Bearer root-5f1c\r\nContent-Length: 0\r\n\r\n")
    sockets = [d.socket() for _ in range(20)]
    for i, s in enumerate(sockets):
        os.utime(repository / "one" / "1" / "model.json", (i + 1, i + 1))
        s.sendall(b"POST /v2/repository/models/one/load HTTP/1.1\r\nHost: x\r\n"
                  b"Authorization: Bearer root-5f1c\r\nContent-Length: 0\r\n\r\n")
    d.signal()
    assert d.wait(60) == 0
    for s in sockets:
        s.close()


def test_files_that_change_are_noticed(start, repository):
    d = start("--watch-models-ms", "50", models=repository)
    second(repository)
    wait_for(lambda: d.request("PUT", "/v1/models/one/classify", RED).json["version"] == "2")
    damage(repository, "one", 2)
    wait_for(lambda: any(m["reason"] for m in d.request("POST", "/v2/repository/index", "{}").json))
    assert logged(d, "model one/2:")
    assert d.request("PUT", "/v1/models/one/classify", RED).json["version"] == "2"
    tinymodel.write(str(repository), "three", 16)
    wait_for(lambda: d.request("PUT", "/v1/models/three/classify", RED).status == 200)
    assert d.log().count("model one/2:") <= 2  # once when it changed, once when "three" did, but at no look between
    shutil.rmtree(repository / "three")
    wait_for(lambda: d.request("PUT", "/v1/models/three/classify", RED).status == 404)


# ---- golden answers ----

def golden(repository, text, name="one"):
    """Puts the member into the manifest."""
    path = repository / name / "1" / "model.json"
    manifest = json.loads(path.read_text())
    manifest.update(json.loads("{%s}" % text))
    path.write_text(json.dumps(manifest))


def test_golden_answer(admin, repository):
    picture = repository / "one" / "1" / "red.png"
    picture.write_bytes(RED)
    done = subprocess.run([BINARY, "classify", "--models", str(repository), "--model", "one", "--golden", str(picture)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith('"golden": {"image": "red.png", "classes": [0'), done
    golden(repository, done.stdout)
    d = admin()  # what it says is what it expects
    assert versions(d) == ["1"] and classify(d, "one").status == 200
    picture.write_bytes(GREEN)  # as if the weights were others
    r = repo(d, "one", "load")
    assert r.status == 400 and "golden" in r.json["error"] and "class 0" in r.json["error"]
    assert index(d)[("one", "1")][0] == "READY" and classify(d, "one").status == 200
    picture.write_bytes(b"no picture")
    assert "golden picture" in repo(d, "one", "load").json["error"]
    picture.unlink()
    assert "No such file" in repo(d, "one", "load").json["error"]
    picture.write_bytes(RED)
    assert repo(d, "one", "load").status == 200 and index(d)[("one", "1")] == ("READY", "")
    golden(repository, '"golden": {"image": "red.png", "classes": [0], "scores": [0.1]}')
    assert "0.1000" in repo(d, "one", "load").json["error"]
    golden(repository, '"golden": {"image": "red.png", "classes": [3], "scores": [0]}')
    assert "no class 3" in repo(d, "one", "load").json["error"]


def test_golden_answer_at_the_start(start, repository):
    (repository / "two" / "1" / "red.png").write_bytes(RED)
    golden(repository, '"golden": {"image": "red.png", "classes": [1], "scores": [0.02], "tolerance": 0.1}', "two")
    d = start(models=repository)
    rows = {m["name"]: m for m in d.request("POST", "/v2/repository/index", "{}").json}
    assert rows["two"]["state"] == "UNAVAILABLE" and "golden" in rows["two"]["reason"], rows
    assert rows["one"]["state"] == "READY"


# ---- versions ----

def policy(repository, text, name="one"):
    (repository / name / "versions.conf").write_text(text)


def second(repository, version=2, name="one"):
    tinymodel.write(str(repository), name, 16, labels=TURNED, version=version)


def versions(d, name="one"):
    return sorted(v for n, v in index(d) if n == name and index(d)[(n, v)][0] == "READY")


@pytest.mark.parametrize("text, served", [
    ("", ["4"]), ("serve = latest 2\n", ["3", "4"]), ("serve = all", ["1", "3", "4"]), ("serve = 1 3", ["1", "3"]),
    ("# a comment\n\n  serve = latest   # one", ["4"]), ("serve = latest 9", ["1", "3", "4"])])
def test_policy(admin, repository, text, served):
    second(repository, 3)
    second(repository, 4)
    policy(repository, text)
    d = admin()
    assert versions(d) == served
    assert classify(d, "one").json["version"] == served[-1]
    for v in served:
        assert ask(d, "GET", f"/v2/models/one/versions/{v}").status == 200
        r = d.request("PUT", f"/v1/models/one/versions/{v}/classify", RED, ROOT)
        assert r.json["version"] == v and r.json["predictions"][0]["label"] == ("red" if v == "1" else "blue")
        assert classify(d, "one", f"?version={v}").json["version"] == v
    assert classify(d, "one", "?version=2").status == 404
    status = ask(d, "GET", "/v1/models/one").json["model_version_status"]
    assert sorted(s["version"] for s in status) == served and {s["state"] for s in status} == {"AVAILABLE"}


@pytest.mark.parametrize("text", [
    "serve", "serve = 0", "serve = latest 0", "serve = latest x", "serve =", "serve = all\nserve = all", "label", "label a",
    "label a = x", "label 12 = 1", "label a/b = 1", "label a = 1 share 101", "label a = 1 share", "label stable = 1 share 5",
    "label a = 1 share 60\nlabel b = 1 share 50", "label a = 1\nlabel a = 1", "label a = 1 shares 5", "nonsense",
    "label a = 1 share nan", "label " + "x" * 32 + " = 1"])
def test_policy_with_a_mistake(admin, repository, text):
    """Keeps what was served, and says which line it is."""
    d = admin()
    policy(repository, "# one\n" + text)
    r = repo(d, "one", "load")
    line = 2 + text.count("\n")
    assert r.status == 400 and f"versions.conf, line {line}" in r.json["error"], r.body
    assert classify(d, "one").status == 200
    assert index(d)[("one", "")][0] == "UNAVAILABLE"


def test_a_version_that_fails_leaves_the_one_below(admin, repository):
    second(repository)
    damage(repository, "one", 2)
    d = admin()  # at the start, too
    assert index(d)[("one", "2")][0] == "UNAVAILABLE" and versions(d) == ["1"]
    assert classify(d, "one").json["version"] == "1"
    states = {s["version"]: s["state"] for s in ask(d, "GET", "/v1/models/one").json["model_version_status"]}
    assert states == {"1": "AVAILABLE", "2": "END"}
    shutil.rmtree(repository / "one" / "1")  # even where its files are gone
    assert repo(d, "one", "load").status == 400
    assert classify(d, "one").json["version"] == "1"


def test_labels(admin, repository):
    second(repository)
    policy(repository, "serve = all\nlabel canary = 2\n")
    d = admin()
    assert classify(d, "one").json["version"] == "1"  # what is called canary is not standard
    for label, version in (("stable", "1"), ("canary", "2"), ("1", "1"), ("2", "2")):
        r = d.request("PUT", f"/v1/models/one/versions/{label}/classify", RED, ROOT)
        assert r.json["version"] == version
        assert ask(d, "GET", f"/v2/models/one/versions/{label}").status == 200
        assert ask(d, "GET", f"/v2/models/one/versions/{label}/ready").status == 200
    picture = '{"instances":[[%s]]}' % ",".join("[200,0,0]" for _ in range(256))
    for label, status in (("stable", 200), ("canary", 200), ("other", 404), ("1", 404)):
        assert ask(d, "GET", f"/v1/models/one/labels/{label}").status == status
        assert ask(d, "GET", f"/v1/models/one/labels/{label}/metadata").status == status
        assert ask(d, "POST", f"/v1/models/one/labels/{label}:predict", picture).status in (status, 400)
    assert ask(d, "GET", "/v1/models/one/versions/canary").status == 404
    policy(repository, "serve = all\nlabel stable = 2\nlabel old = 1")
    assert repo(d, "one", "load").status == 200
    assert classify(d, "one").json["version"] == "2"
    assert classify(d, "one", "?version=old").json["version"] == "1"
    policy(repository, "label stable = 1")  # the latest alone is served, and that is 2
    assert repo(d, "one", "load").status == 400
    assert "labelled stable" in index(d)[("one", "1")][1]


def test_a_canary_has_its_share(admin, repository):
    second(repository)
    policy(repository, "serve = all\nlabel canary = 2 share 25%\n")
    d = admin()
    answers = [classify(d, "one").json["version"] for _ in range(40)]
    assert answers.count("2") == 10 and answers.count("1") == 30
    assert metric(d, "mobilenetd_label_requests_total", model="one", label="canary", version="2") == 10
    assert all(classify(d, "one", "?version=stable").json["version"] == "1" for _ in range(8))
    shares = [ask(d, "GET", "/v2/models/one").status for _ in range(8)]  # questions about it do not count
    assert shares == [200] * 8
    assert repo(d, "one", "load").status == 200
    assert metric(d, "mobilenetd_label_requests_total", model="one", label="canary") == 10
    assert [classify(d, "one").json["version"] for _ in range(4)].count("2") == 1
    d.signal(signal.SIGHUP)
    wait_for(lambda: metric(d, "mobilenetd_reloads_total") == 1)
    assert metric(d, "mobilenetd_label_requests_total", model="one", label="canary") == 11


def test_a_canary_is_compared(admin, repository):
    """Version 2 has the same network; version 3 of another size, and its classes turned round do not matter: what
    counts is the number of the class."""
    second(repository)
    policy(repository, "serve = all\nlabel canary = 2 share 50 compare 50\n")
    d = admin()

    def counts(what):
        return metric(d, f"mobilenetd_label_{what}_total", model="one", label="canary")

    for picture in (RED, GREEN) * 20:
        assert classify(d, "one", body=picture).status == 200
        time.sleep(0.002)
    wait_for(lambda: counts("compared") + counts("uncompared") == 10)
    assert counts("compared") > 0 and counts("disagreed") == 0 and counts("requests") == 20
    seen = counts("compared"), counts("uncompared")
    tinymodel.write(str(repository), "one", 16, version=3, weights=-tinymodel.WEIGHTS)
    policy(repository, "serve = all\nlabel stable = 1\nlabel canary = 3 compare 100\n")
    assert repo(d, "one", "load").status == 200
    body = json.dumps({"inputs": [{"name": "input", "shape": [2, 16, 16, 3], "datatype": "UINT8",
                                   "data": [200, 0, 0] * 512}], "outputs": [{"name": "logits"}]})
    assert ask(d, "POST", "/v2/models/one/versions/canary/infer", body).status == 200
    wait_for(lambda: counts("compared") == seen[0] + 2)
    assert counts("disagreed") == 2
    assert classify(d, "one", "?version=canary").json["predictions"][0]["label"] != "red"
    wait_for(lambda: counts("compared") == seen[0] + 3)
    assert counts("disagreed") == 3 and counts("uncompared") == seen[1]
    assert classify(d, "one", "?version=canary", b"no picture").status == 415  # nothing to compare
    assert classify(d, "one", "?version=canary").status == 200
    wait_for(lambda: counts("compared") >= seen[0] + 4)
    assert counts("compared") == seen[0] + 4
