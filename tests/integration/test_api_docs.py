"""The documents that describe the API are held to it: OpenAPI, and the examples of docs/API.md."""
import os
import re
import shutil
import subprocess

import pytest

from daemon import ROOT, Daemon, keys_file
from pictures import BLUE, RED, RED_JPEG

REAL = "mobilenet_v1_0.25_128"  # the tiny models have no embedding


def test_openapi_is_the_table_of_routes(tiny):
    r = tiny.request("GET", "/openapi.json")
    assert r.status == 200 and r.headers["Content-Type"] == "application/json"
    document = r.json
    assert document["openapi"] == "3.1.0" and document["info"]["title"] == "mobilenetd"
    listed = {}
    for line in tiny.request("GET", "/").body.decode().splitlines():
        m = re.match(r"([A-Z, ]+?)  +(/\S*)  ", line)
        if m:
            listed[m[2]] = {v.strip().lower() for v in m[1].split(",")}
    paths = {re.sub(r"\{\w+\}", "{}", p): v for p, v in document["paths"].items()}
    assert len(paths) == len(document["paths"]) and set(paths) == set(listed) and len(listed) > 30
    ids = set()
    for path, item in document["paths"].items():
        parameters = item.pop("parameters")
        assert [p["name"] for p in parameters] == re.findall(r"\{(\w+)\}", path)
        assert all(p["in"] == "path" and p["required"] for p in parameters)
        assert set(item) == listed[re.sub(r"\{\w+\}", "{}", path)]
        for operation in item.values():
            assert operation["summary"] and {"200", "default"} == set(operation["responses"])
            ids.add(operation["operationId"])
    assert len(ids) == sum(len(v) for v in document["paths"].values())


def test_openapi_against_live_answers(tiny):
    values = {"model": "colour_16", "version": "1", "label": "stable"}
    for path, item in tiny.request("GET", "/openapi.json").json["paths"].items():
        live = re.sub(r"\{(\w+)\}", lambda m: values[m[1]], path)
        if "get" in item:
            r = tiny.request("GET", live)
            assert r.status == (501 if "sharedmemory" in path or "trace" in path else 200), (live, r.body)
        else:
            assert tiny.request("GET", live).status == 405


def examples():
    with open(os.path.join(ROOT, "docs", "API.md")) as f:
        text = f.read()
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def administered(real_models, tmp_path_factory):
    """A daemon that may be changed, on a repository of its own."""
    path = tmp_path_factory.mktemp("administered")
    shutil.copytree(real_models / REAL, path / "models" / REAL)
    d = Daemon(path / "models", "--admin", "--api-keys", keys_file(path, "root infer,admin"))
    yield d
    d.stop()


@pytest.mark.parametrize("command", examples())
def test_example(request, tiny, tmp_path, command):
    keyed = "$KEY" in command
    d, model = (request.getfixturevalue("administered"), REAL) if keyed else (tiny, "colour_16")
    (tmp_path / "photo.jpg").write_bytes(RED_JPEG)
    for i, (name, picture) in enumerate((("red", RED), ("red", RED_JPEG), ("blue", BLUE), ("blue", BLUE))):
        (tmp_path / f"{name}{i % 2 + 1}.png").write_bytes(picture)
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=30,
                          env=dict(os.environ, URL=d.url, MODEL=model, KEY="root"))
    assert done.returncode == 0, done.stderr
    assert done.stdout or list(tmp_path.glob("*.npy")) or list(tmp_path.glob("*.bin"))
    if "classif" in command or ":predict" in command:
        assert b"red" in done.stdout or b"predictions" in done.stdout
