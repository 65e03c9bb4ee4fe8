"""Real models for tests, from where deploy/pull has them: MOBILENETD_MIRROR (or ../shared/models), ./models, or the network."""
import os
import shutil
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


class Missing(Exception):
    """It cannot be had: a sentence."""


def environment():
    """With a mirror where there is one, as in .ci/run."""
    env = dict(os.environ)
    shared = os.path.join(env.get("MOBILENETD_SHARED") or os.path.join(ROOT, "..", "shared"), "models")
    if not env.get("MOBILENETD_MIRROR") and os.path.isdir(shared):
        env["MOBILENETD_MIRROR"] = os.path.abspath(shared)
    return env


def pull(to, *names):
    """Puts them into the repository `to`. What a mirror has must come; what the network has not, may be missing."""
    env = environment()
    for name in names:
        have = os.path.join(ROOT, "models", name)
        if os.path.isdir(os.path.join(have, "1")):  # pull checks it, and fetches it anew if it is not what it should be
            shutil.copytree(have, os.path.join(to, name), dirs_exist_ok=True)
    p = subprocess.run([os.path.join(ROOT, "deploy", "pull"), *names, "--to", str(to)], env=env, capture_output=True, text=True)
    if p.returncode:
        raise Missing(f"no model: {(p.stderr.strip() or 'pull says nothing').splitlines()[-1]}")
