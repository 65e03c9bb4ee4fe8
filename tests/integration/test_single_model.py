"""One folder under --model-name, as KServe mounts it: its files, or its versions, and no name of a folder counts."""
import shutil
import subprocess

import pytest

import tinymodel
from daemon import ANY_PORT, BINARY, keys_file
from pictures import RED
from test_grpc import Client, pb  # noqa: F401
from test_repository import TURNED, ask, reread


@pytest.fixture
def flat(tmp_path):
    """Files alone, in a folder whose name says nothing."""
    tinymodel.write(str(tmp_path / "made"), "one", 16)
    shutil.move(str(tmp_path / "made" / "one" / "1"), str(tmp_path / "mnt"))
    return tmp_path / "mnt"


def test_files_of_one_folder(start, flat, pb):  # noqa: F811
    d = start("--model-name", "cats", models=flat)
    assert [(m["name"], m["version"]) for m in d.request("GET", "/v1/models").json["models"]] == [("cats", "1")]
    assert d.request("GET", "/v2/models/cats/ready").status == 200
    assert d.request("GET", "/v2/models/mnt/ready").status == 404
    assert d.classify(RED).json["model"] == "cats" and d.classify(RED).top["label"] == "red"
    client = Client(d, pb)
    assert client.call("ModelReady", name="cats", version="1").ready is True
    client.channel.close()


def test_versions_of_one_model(start, tmp_path):
    tinymodel.write(str(tmp_path), "one", 16)
    tinymodel.write(str(tmp_path), "one", 16, version=2, labels=TURNED)
    d = start("--model-name", "cats", models=tmp_path / "one")
    assert (d.classify(RED).json["version"], d.classify(RED).json["model"]) == ("2", "cats")


def test_a_changed_file_is_read_again_and_a_broken_one_leaves_the_old(start, flat):
    d = start("--model-name", "cats", models=flat)
    (flat / "labels.txt").write_text("\n".join(TURNED) + "\n")
    reread(d)
    assert d.classify(RED).top["label"] == "blue"
    for f in flat.glob("*.tflite"):
        f.write_bytes(b"broken")
    reread(d)
    assert d.classify(RED).top["label"] == "blue"


def test_load_and_unload_by_its_name_alone(start, flat, tmp_path):
    d = start("--model-name", "cats", "--admin", "--api-keys", keys_file(tmp_path, "root-5f1c infer,admin,metrics"), models=flat)
    assert ask(d, "POST", "/v2/repository/models/cats/unload").status == 200
    assert ask(d, "GET", "/v2/models/cats/ready").status != 200
    reread(d)
    assert ask(d, "GET", "/v2/models/cats/ready").status != 200
    assert ask(d, "POST", "/v2/repository/models/cats/load").status == 200
    assert ask(d, "GET", "/v2/models/cats/ready").status == 200
    refused = ask(d, "POST", "/v2/repository/models/dogs/load")
    assert refused.status >= 400 and "one model" in refused.json["error"]


@pytest.mark.parametrize("name, folder, says", [("../x", ".", "is not the name of a model"), ("x", "gone", "there is no folder"),
                                                ("x", ".", "no model of")])
def test_a_start_that_cannot_be(tmp_path, name, folder, says):
    p = subprocess.run([BINARY, "serve", "--models", str(tmp_path / folder), "--model-name", name, "--http", ANY_PORT, "--grpc", ""],
                       capture_output=True, text=True, timeout=60)
    assert p.returncode != 0 and says in p.stderr
