"""Fixtures of the suite ship: releases, made once for all its tests."""
import os
import subprocess
import sys
import tarfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "lint"))

import daemon  # noqa: E402
import models  # noqa: E402


class Release:
    def __init__(self, arch, folder):
        self.folder, self.arch = folder, arch
        p = subprocess.run(["deploy/make-release", "--arch", arch, *(["--twice"] if arch == "amd64" else []), "--to", folder],
                           cwd=daemon.ROOT, capture_output=True, text=True)
        assert p.returncode == 0, p.stdout + p.stderr
        self.said = p.stdout
        name, = [n for n in os.listdir(folder) if n.endswith(".tar.gz")]
        self.name = name[:-len(".tar.gz")]
        with tarfile.open(os.path.join(folder, name)) as tar:
            self.members = tar.getmembers()
            tar.extractall(folder)
        self.tree = os.path.join(folder, self.name)
        self.program = os.path.join(self.tree, "mobilenetd")


@pytest.fixture(scope="session")
def shared():
    path = os.path.abspath(os.environ.get("MOBILENETD_SHARED") or os.path.join(daemon.ROOT, "..", "shared"))
    if not os.path.isdir(os.path.join(path, "images")):
        pytest.skip("no ../shared with photos")
    return path


@pytest.fixture(scope="session")
def real_models(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    try:
        models.pull(path, "mobilenet_v1_1.0_224")
    except models.Missing as e:
        pytest.skip(str(e))
    return str(path)


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    return Release("amd64", str(tmp_path_factory.mktemp("amd64")))


@pytest.fixture(scope="session")
def release_arm64(tmp_path_factory):
    return Release("arm64", str(tmp_path_factory.mktemp("arm64")))
