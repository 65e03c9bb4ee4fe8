"""Runs one test program and judges it: TAP on stdout, exit status, time limit."""
import re
from dataclasses import dataclass, field

import process

LINE = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:-\s*)?(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)(?:\s*#\s*SKIP\b\s*(.*))?$", re.I)


@dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    skips: list = field(default_factory=list)     # "test: reason"
    failures: list = field(default_factory=list)  # (title, output)
    notes: list = field(default_factory=list)     # comment lines worth showing: figures

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.skips += other.skips
        self.failures += other.failures
        self.notes += other.notes

    def fail(self, title, output=""):
        self.failed += 1
        self.failures.append((title, output))

    def skip(self, what):
        self.skipped += 1
        self.skips.append(what)


def judge(title, text):
    """The outcome that TAP text states, and how many tests its plans announce."""
    out = Outcome()
    planned = 0
    blocks = []  # (name, lines) of each failure
    pending = []
    for line in text.splitlines():
        plan = PLAN.match(line)
        m = LINE.match(line)
        if plan:
            planned += int(plan.group(1))
            if plan.group(2) is not None:
                out.skip(f"{title}: {plan.group(2)}")
                planned += 1
        elif m:
            name = m.group(3)
            skip = re.search(r"#\s*SKIP\b\s*(.*)$", name, re.I)  # cmocka writes "not ok 3 # SKIP name"
            if skip:
                what = name[:skip.start()].strip()
                out.skip(f"{title}: {what + ': ' if what else ''}{skip.group(1)}")
            elif m.group(1):  # cmocka explains before the line, our scripts after it
                pending = [] if blocks and pending is blocks[-1][1] else pending
                blocks.append((name, pending))
            else:
                out.passed += 1
            if skip or not m.group(1):
                pending = []
        else:
            pending.append(line)
        if line.startswith("# ") and not blocks:
            out.notes.append(line[2:])
    for name, lines in blocks:
        out.fail(f"{title}: {name}", "\n".join(lines))
    return out, planned


def run(title, command, timeout, env=None, cwd=None):
    """Runs the program; every way in which it can go wrong is one failed test more."""
    try:
        text, status = process.run(command, timeout, env, cwd)
    except OSError as e:
        text, status = str(e), -1
    out, planned = judge(title, text)
    seen = out.passed + out.failed + out.skipped
    tail = "\n".join(text.splitlines()[-100:])
    if status is None:
        out.fail(f"{title}: still running after {timeout} s", tail)
    elif status < 0:
        out.fail(f"{title}: killed by signal {-status}" if status != -1 else f"{title}: cannot start", tail)
    elif status != 0 and not out.failed:
        out.fail(f"{title}: exit status {status}", tail)
    elif seen == 0:
        out.fail(f"{title}: ran no test", tail)
    elif seen < planned:
        out.fail(f"{title}: {planned} tests announced, {seen} seen", tail)
    return out
