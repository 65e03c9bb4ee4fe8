"""Runs a program with a time limit and without leftovers: whatever it started ends with it, however deep, daemons included.

A process is known as one of ours by a mark in its environment, which children inherit and which nobody else has."""
import contextlib
import glob
import os
import secrets
import signal
import subprocess
import tempfile
import time

MARK = "MOBILENETD_RUN_"  # and a number: a run within a run has both
marks = set()  # of what runs now
stopping = []  # not empty: nothing is started any more


def marked(mark):
    """The ids of the processes that carry it."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError), open(path, "rb") as f:
            if f"{MARK}{mark}=1".encode() in f.read().split(b"\0"):
                found.append(int(path.split("/")[2]))
    return [pid for pid in found if pid != os.getpid()]


def end(mark, seconds=60):
    """SIGTERM, so that who has something to clean up can, then SIGKILL. Returns what had to be ended."""
    first = marked(mark)
    for number, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, seconds)):
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        until = time.monotonic() + wait
        while marked(mark) and time.monotonic() < until:
            time.sleep(0.05)
    return first


def end_all():
    stopping.append(True)
    for mark in list(marks):
        end(mark)


def run(command, seconds, env=None, cwd=None):
    """(what it wrote, its exit status, or None if it still ran after `seconds`)."""
    if stopping:
        raise OSError("the run is being stopped")
    mark = secrets.token_hex(8)
    marks.add(mark)
    try:
        with tempfile.TemporaryFile() as out:  # a pipe would be kept open by a daemon that stays
            p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                 env={**(os.environ if env is None else env), MARK + mark: "1"}, start_new_session=True)
            try:
                status = p.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                end(mark)
                p.wait()
            out.seek(0)
            return out.read().decode("utf-8", "replace"), status
    finally:
        marks.discard(mark)
