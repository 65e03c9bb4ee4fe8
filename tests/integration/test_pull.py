"""deploy/pull: every file verified, whole models or nothing."""
import json
import os
import shutil
import subprocess

import pytest

from daemon import BINARY, ROOT

pytestmark = pytest.mark.patient

PULL = os.path.join(ROOT, "deploy", "pull")
NAME = "mobilenet_v1_0.25_128"


def pull(*args, mirror=None, offline=False, **more):
    env = {k: v for k, v in os.environ.items() if k != "MOBILENETD_MIRROR"}
    env.update(more.pop("env", {}))
    if mirror:
        env["MOBILENETD_MIRROR"] = str(mirror)
    command = [PULL, *map(str, args)]
    if offline:
        command = ["unshare", "-n", *command]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, **more)


@pytest.fixture
def mirror(shared, tmp_path):
    """A copy of the part of the mirror that NAME needs, to be damaged."""
    for name in ("mobilenet_v1_0.25_128_quant.tflite", "imagenet_labels_1001.txt", "LICENSE.coral-test_data.Apache-2.0"):
        os.makedirs(tmp_path / "mirror" / "imagenet", exist_ok=True)
        shutil.copyfile(os.path.join(shared, "models", "imagenet", name), tmp_path / "mirror" / "imagenet" / name)
    return tmp_path / "mirror"


def test_pull_and_pull_again(mirror, tmp_path):
    to = tmp_path / "new" / "models"
    assert pull(NAME, "--to", to, mirror=mirror).returncode == 0
    folder = to / NAME / "1"
    assert sorted(os.listdir(folder)) == ["LICENSE", "labels.txt", "model.json", "model.tflite"]
    assert os.listdir(to) == [NAME]
    before = os.stat(folder).st_ino
    p = pull(NAME, "--to", to, mirror=mirror)
    assert p.returncode == 0 and p.stdout == "" and os.stat(folder).st_ino == before


@pytest.mark.parametrize("damage", ["flip", "cut", "append"])
def test_mismatch_leaves_nothing_behind(mirror, tmp_path, damage):
    path = mirror / "imagenet" / "imagenet_labels_1001.txt"
    data = path.read_bytes()
    path.write_bytes({"flip": b"B" + data[1:], "cut": data[:-1], "append": data + b"\n"}[damage])
    p = pull(NAME, "--to", tmp_path / "new" / "models", mirror=mirror)
    assert p.returncode == 1 and "sha256" in p.stderr and "labels.txt" in p.stderr
    assert not (tmp_path / "new").exists()


def test_damaged_model_is_replaced_as_a_whole(mirror, tmp_path):
    to = tmp_path / "models"
    pull(NAME, "--to", to, mirror=mirror)
    model = to / NAME / "1" / "model.tflite"
    good = model.read_bytes()
    model.write_bytes(b"damaged")
    assert pull(NAME, "--to", to, mirror=mirror).returncode == 0
    assert model.read_bytes() == good and os.listdir(to) == [NAME] and os.listdir(to / NAME) == ["1"]


def test_failure_keeps_what_was_there(mirror, tmp_path):
    to = tmp_path / "models"
    pull(NAME, "--to", to, mirror=mirror)
    (to / NAME / "1" / "labels.txt").write_text("mine\n")
    (mirror / "imagenet" / "imagenet_labels_1001.txt").write_text("wrong\n")
    assert pull(NAME, "--to", to, mirror=mirror).returncode == 1
    assert (to / NAME / "1" / "labels.txt").read_text() == "mine\n" and os.listdir(to) == [NAME]


def test_unknown_model():
    p = pull("mobilenet_v9")
    assert p.returncode == 1 and "mobilenet_v9" in p.stderr and NAME in p.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to cut off the network")
def test_no_mirror_and_no_network_is_one_sentence(tmp_path):
    p = pull(NAME, "--to", tmp_path / "models", offline=True)
    assert p.returncode == 1 and "MOBILENETD_MIRROR" in p.stderr and p.stderr.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_moderation_runs(shared, tmp_path):
    """A TF.js model under a manifest of ours, from the mirror to an answer."""
    to = tmp_path / "models"
    assert pull("moderation", "--to", to, mirror=os.path.join(shared, "models")).returncode == 0
    photo = os.path.join(shared, "images", "photos", "orient_3.jpg")
    p = subprocess.run([BINARY, "classify", "--models", str(to), "--json", photo], capture_output=True, text=True, timeout=60)
    best = json.loads(p.stdout)["predictions"][0]
    assert p.returncode == 0 and best["label"] == "Neutral" and best["score"] > 0.9


@pytest.mark.skipif(not shutil.which("npm"), reason="no npm")
def test_moderation_out_of_its_npm_package(tmp_path):
    p = pull("moderation", "--to", "models", cwd=tmp_path)
    if p.returncode and "npm cannot fetch" in p.stderr and "no reason given" not in p.stderr:
        pytest.skip(p.stderr.strip())
    assert p.returncode == 0, p.stderr
    assert sorted(os.listdir(tmp_path / "models" / "moderation" / "1")) == ["labels.txt", "model.json", "network.json", "weights.bin"]


def test_what_npm_says_is_passed_on(tmp_path):
    (tmp_path / "npm").write_text("#!/bin/sh\necho npm error code E404 >&2\nexit 1\n")
    (tmp_path / "npm").chmod(0o755)
    p = pull("moderation", "--to", "models", cwd=tmp_path, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert p.returncode == 1 and "npm cannot fetch nsfwjs@4.4.0: npm error code E404" in p.stderr
    assert not (tmp_path / "models").exists()


@pytest.fixture
def fake(tmp_path):
    """Programs in front of the real ones; what tar gets is noted."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(name, script):
        (folder / name).write_text("#!/bin/sh\n" + script)
        (folder / name).chmod(0o755)
        return {"PATH": f"{folder}:{os.environ['PATH']}"}
    return make


def test_an_archive_is_checked_before_it_is_unpacked(fake, tmp_path):
    fake("tar", f"touch {tmp_path}/unpacked\n")
    env = fake("npm", "echo rubbish >nsfwjs-4.4.0.tgz\n")
    p = pull("moderation", "--to", tmp_path / "models", env=env)
    assert p.returncode == 1 and "nsfwjs@4.4.0 does not have the expected sha256" in p.stderr
    assert not (tmp_path / "unpacked").exists() and not (tmp_path / "models").exists()


def test_a_package_without_end(fake, tmp_path):
    env = fake("npm", f"cat /dev/zero >x.tgz; ls -s --block-size=1M x.tgz >{tmp_path}/size; exit 1\n")
    p = pull("moderation", "--to", tmp_path / "models", env=env)
    assert p.returncode == 1 and "nsfwjs@4.4.0 is larger than 64 MB" in p.stderr and p.stderr.count("\n") == 1
    assert int((tmp_path / "size").read_text().split()[0]) <= 64 and not (tmp_path / "models").exists()


def test_a_download_without_end(fake, tmp_path):
    env = fake("curl", 'while [ "$1" != --output ]; do shift; done\ncat /dev/zero >"$2"\n')
    p = pull(NAME, "--to", tmp_path / "models", env=env)
    assert p.returncode == 1 and "is larger than 64 MB" in p.stderr and p.stderr.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_a_mirror_with_a_giant(tmp_path):
    (tmp_path / "mirror" / "imagenet").mkdir(parents=True)
    with open(tmp_path / "mirror" / "imagenet" / "mobilenet_v1_0.25_128_quant.tflite", "wb") as f:
        f.truncate(1 << 40)
    p = pull(NAME, "--to", tmp_path / "models", mirror=tmp_path / "mirror")
    assert p.returncode == 1 and "is larger than 64 MB" in p.stderr and not (tmp_path / "models").exists()


def test_whole_catalogue_is_in_the_mirror(shared, tmp_path):
    p = pull("--list")
    names = {line.split()[0] for line in p.stdout.splitlines()}
    p = pull(*sorted(names), "--to", tmp_path / "models", mirror=os.path.join(shared, "models"), offline=os.geteuid() == 0)
    assert p.returncode == 0, p.stderr
    assert set(os.listdir(tmp_path / "models")) == names
