"""ONNX Runtime of npm, installed once and kept in build-peers."""
import os
import shutil
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FOLDER = os.environ.get("PEERS_NODE") or os.path.join(ROOT, "build-peers")
PACKAGE = "onnxruntime-node@1.30.0"


class Missing(Exception):
    """There is none, and none can be had: a sentence."""


def install():
    """The folder whose node_modules has it."""
    if os.path.isdir(os.path.join(FOLDER, "node_modules", "onnxruntime-node")):
        return FOLDER
    if not shutil.which("npm"):
        raise Missing(f"no npm to install {PACKAGE} with")
    os.makedirs(FOLDER, exist_ok=True)
    p = subprocess.run(["npm", "install", "--prefix", FOLDER, "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE],
                       capture_output=True, text=True, timeout=300)
    if p.returncode:
        raise Missing(f"npm cannot install {PACKAGE}: {p.stderr.strip()[-500:]}")
    return FOLDER
