"""The runner itself: what hangs is named and leaves nothing behind, what is installed is installed once, and the files of
the tree are found without git."""
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

import npm
import process
import runner
import tap
import tree
from daemon import ROOT

LIB = os.path.join(ROOT, "tests", "lib")
pytestmark = [pytest.mark.slow, pytest.mark.patient]

# A daemon of the worst kind: a session of its own, no parent, and deaf to SIGTERM.
DAEMON = "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ >%s; while :; do sleep 1; done' & while [ ! -s %s ]; do sleep 0.1; done; "


def alive(path):
    try:
        with open(f"/proc/{path.read_text().strip()}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"  # who has inherited it may take its time to bury it
    except FileNotFoundError:
        return False


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    ended = process.end
    monkeypatch.setattr(process, "end", lambda mark, seconds=1: ended(mark, seconds))


def test_a_program_that_hangs_leaves_no_daemon(tmp_path):
    pid = tmp_path / "pid"
    script = DAEMON % (pid, pid) + "echo ok 1 - early; sleep 1000"
    out = tap.run("suite/program", ["sh", "-c", script], 5)
    assert (out.passed, out.failed) == (1, 1)
    assert out.failures[0][0] == "suite/program: still running after 5 s"
    assert not alive(pid)


def test_a_program_that_ends_leaves_no_daemon(tmp_path):
    pid = tmp_path / "pid"
    out = tap.run("suite/program", ["sh", "-c", DAEMON % (pid, pid) + "echo ok 1 - done"], 60)
    assert (out.passed, out.failed) == (1, 0) and not alive(pid)


HANGS = """
import subprocess, sys, time
import pytest
sys.path.insert(0, {lib!r})

@pytest.fixture
def daemon():
    p = subprocess.Popen(["sleep", "1000"])
    open({pid!r}, "w").write(str(p.pid))
    yield p
    p.kill()
    p.wait()

def test_before():
    pass

def test_that_hangs(daemon):
    while True:
        try:
            time.sleep(1000)
        except {deaf}:
            pass

def test_after():
    pass
"""
LIMITED = "import sys; sys.path.insert(0, {lib!r})\nfrom limit import pytest_runtest_call, pytest_runtest_setup, pytest_runtest_teardown\n"


@pytest.mark.parametrize("deaf,counts", [("ZeroDivisionError", (2, 1)), ("BaseException", (0, 1))])
def test_a_test_that_hangs_is_named(tmp_path, monkeypatch, deaf, counts):
    """By itself, and where it does not hear even that, from outside. Its daemon is gone in both cases."""
    pid, folder = tmp_path / "pid", tmp_path / "tests"
    folder.mkdir()
    (folder / "conftest.py").write_text(LIMITED.format(lib=LIB))
    (folder / "test_it.py").write_text(HANGS.format(lib=LIB, pid=str(pid), deaf=deaf))
    monkeypatch.setenv("MOBILENETD_TEST_SECONDS", "3")
    out = runner.pytest_part("build-test", "", [], str(folder), 20 if counts[0] == 0 else 600)
    assert (out.passed, out.failed) == counts
    title, text = out.failures[0]
    assert "test_that_hangs" in title and "still running after" in title + text
    assert not alive(pid)


@pytest.mark.parametrize("ci", ["", "true"])
def test_a_run_takes_away_what_it_made(tmp_path, monkeypatch, ci):
    """Temporary files and npm's packages always, builds where CI is set; what was there before stays."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(runner, "ROOT", str(tmp_path))
    monkeypatch.setattr(npm, "FOLDER", str(tmp_path / "build-peers"))
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("MOBILENETD_MADE", " build-asan")
    (tmp_path / "models").mkdir()
    leftovers = runner.Leftovers()
    _, path = tempfile.mkstemp()
    for made in ("build-peers/node_modules", "build-asan", "build-test", "build"):
        (tmp_path / made).mkdir(parents=True)
    leftovers.remove()
    assert not os.path.exists(path)
    assert {p.name for p in tmp_path.iterdir()} == {"models", "build-test"} | (set() if ci else {"build", "build-asan"})


FAKE_NPM = """#!/bin/sh
# Installs what it is told, not at once, and fails if another of its kind is at work.
while [ "$1" != --prefix ]; do shift; done
folder=$2
mkdir "$folder/busy" || exit 1
sleep 1
for word; do case $word in *@*)
    mkdir -p "$folder/node_modules/${word%@*}"
    echo "{\\"version\\":\\"${word##*@}\\"}" >"$folder/node_modules/${word%@*}/package.json"
    echo "$word" >>"$folder/installed" ;;
esac; done
rmdir "$folder/busy"
"""


def test_two_processes_install_packages_one_after_the_other(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text(FAKE_NPM)
    (tmp_path / "bin" / "npm").chmod(0o755)
    folder = tmp_path / "peers"
    env = dict(os.environ, PEERS_NODE=str(folder), PYTHONPATH=LIB, PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    children = [subprocess.Popen([sys.executable, "-c", f"import npm; npm.install({wanted})"], env=env,
                                 stderr=subprocess.PIPE, text=True)
                for wanted in ("'a@1'", "'a@1', 'b@2'", "'b@2'", "'a@1'")]
    for child in children:
        assert child.wait(60) == 0, child.stderr.read()
    assert sorted((folder / "installed").read_text().split()) == ["a@1", "b@2"]


def test_the_tree_is_what_git_says(tmp_path):
    if not shutil.which("git") or subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("no git, or no checkout")
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split("\0")
    want = sorted(p for p in listed if p and os.path.exists(os.path.join(ROOT, p)))
    assert want == tree.files()


def test_the_tree_without_git(tmp_path):
    (tmp_path / ".gitignore").write_text("# made\n/build*\n/models/\n*.pyc\nnode_modules/\n")
    for path in (".git/HEAD", "build-test/a.o", "build.log", "models/x", "a/models/kept", "a/b.pyc", "a/node_modules/y/z",
                 "a/build-kept", "src/c.c"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    assert tree.files(str(tmp_path)) == [".gitignore", "a/build-kept", "a/models/kept", "src/c.c"]
