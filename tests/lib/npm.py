"""Packages of npm, in exact versions, installed once and kept in build-peers. Scripts of packages never run."""
import contextlib
import fcntl
import json
import os
import shutil
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FOLDER = os.environ.get("PEERS_NODE") or os.path.join(ROOT, "build-peers")


class Missing(Exception):
    """There is none, and none can be had: a sentence."""


def has(package):
    name, _, version = package.rpartition("@")
    try:
        with open(os.path.join(FOLDER, "node_modules", name, "package.json")) as f:
            return json.load(f)["version"] == version
    except OSError:
        return False


@contextlib.contextmanager
def alone():
    """One process at a time installs: two at once take each other's files away."""
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, ".lock"), "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def install(*packages):
    """The folder whose node_modules has all of them, each given as NAME@VERSION."""
    if all(has(p) for p in packages):
        return FOLDER
    if not shutil.which("npm"):
        raise Missing(f"no npm to install {' '.join(packages)} with")
    with alone():
        wanted = [p for p in packages if not has(p)]
        if not wanted:
            return FOLDER
        p = subprocess.run(["npm", "install", "--prefix", FOLDER, "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact",
                            *wanted], capture_output=True, text=True, timeout=900)
        if p.returncode:
            raise Missing(f"npm cannot install {' '.join(wanted)}: {p.stderr.strip()[-500:]}")
    return FOLDER
