#!/usr/bin/python3
"""Runs suites of tests and counts: one line a suite, every failure with its output, and at the end the
names of what failed and `N passed, N failed, N skipped`. Called by tests/run, which has installed and
built everything.

A suite is a list of programs that print TAP, found by meson introspection, or pytest (junit xml)."""
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

import npm
import process
import tap

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
REASON = "=> "  # begins the last line of a failure's text
SLOW = {"build-test": 1, "build-asan": 5, "build-tsan": 8}  # factor on every time limit


def environment(build):
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", MOBILENETD_BUILD=os.path.join(ROOT, build))
    shared = env.get("MOBILENETD_SHARED") or os.path.join(ROOT, "..", "shared")
    if os.path.isdir(shared):
        env["MOBILENETD_SHARED"] = os.path.abspath(shared)
    env["ASAN_OPTIONS"] = "detect_stack_use_after_return=1:strict_string_checks=1"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    supp = os.path.join(ROOT, "tests", "lib", "tsan.supp")
    env["TSAN_OPTIONS"] = f"halt_on_error=0:exitcode=66:second_deadlock_stack=1:suppressions={supp}"
    if build != "build-test":
        env["MOBILENETD_QUICK"] = "1"
    env.setdefault("MOBILENETD_TEST_SECONDS", "900" if build == "build-test" else "2700")
    return env


def meson_tests(build, suite):
    out = subprocess.run(["meson", "introspect", "--tests", build], cwd=ROOT, capture_output=True,
                         text=True, check=True).stdout
    return [t for t in json.loads(out) if any(s.split(":")[-1] == suite for s in t["suite"])]


def programs(build, suites):
    env = environment(build)
    jobs = []
    for suite in suites:
        for t in meson_tests(build, suite):
            jobs.append((f"{suite}/{t['name']}", t["cmd"], t["timeout"] * SLOW[build], {**env, **t["env"]}))
    out = tap.Outcome()
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        for one in pool.map(lambda j: tap.run(*j), jobs):
            out.add(one)
    return out


def script(title, command, timeout, build="build-test"):
    return tap.run(title, command, timeout, environment(build), ROOT)


def shortened(text, most=5000):
    """Its beginning, where a sanitizer's report has its stack, and its end, where a log says what happened last."""
    text = text.strip("\n")
    if len(text) <= most:
        return text
    return text[:most // 2] + f"\n[… {len(text) - most} characters …]\n" + text[-(most // 2):]


def explained(bad):
    """The text of a failure in a junit file, and in the last line what it comes down to."""
    reason = (bad.get("message") or "").strip().split("\n")[0]
    return shortened(bad.text or "") + (f"\n{REASON}{reason[:300]}" if reason else "")


def pytest(build, marks=""):
    """In two parts at a time, for most tests wait: those that tell times, and at a lower priority the patient ones."""
    parts = [(f"{marks}not patient", []), (f"{marks}patient", ["nice", "-n", "10"])]
    out = tap.Outcome()
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        for one in pool.map(lambda p: pytest_part(build, *p), parts):
            out.add(one)
    return out


def at_work(path):
    """The test that was running last."""
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return "before the first test"


def pytest_part(build, marks, prefix, folder="tests/integration", seconds=7200):
    """A test that hangs fails by itself (limit.py); `seconds` ends one that even this does not end."""
    out = tap.Outcome()
    env = environment(build)
    seconds *= 1 if build == "build-test" else 2
    with tempfile.TemporaryDirectory(prefix="mobilenetd-pytest-") as work:
        xml, current = os.path.join(work, "junit.xml"), os.path.join(work, "current")
        text, status = process.run([*prefix, "/usr/bin/python3", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider",
                                    f"--junitxml={xml}", "-m", marks, folder], seconds,
                                   {**env, "MOBILENETD_CURRENT": current}, ROOT)
        if status is None:
            out.fail(f"{at_work(current)}: pytest still running after {seconds} s", text[-4000:])
            return out
        try:
            cases = ET.parse(xml).getroot().iter("testcase")
        except (ET.ParseError, OSError):
            cases = []
        for case in cases:
            title = f"{case.get('classname', '').split('.')[-1]}: {case.get('name')}"
            bad = [e for e in case if e.tag in ("failure", "error")]
            skip = case.find("skipped")
            if bad:
                out.fail(title, "\n".join(explained(e) for e in bad))
            elif skip is not None:
                out.skip(f"{title}: {skip.get('message')}")
            else:
                out.passed += 1
    if status not in (0, 1) or (status == 1 and not out.failed):
        out.fail(f"pytest: exit status {status}", text[-4000:])
    return out


def golden():
    out = programs("build-test", ["golden"])
    if "MOBILENETD_SHARED" in environment("build-test") and out.skipped:
        out.fail("golden: the shared data are here, so that none may skip", "\n".join(out.skips))
    return out


def sanitized(build, suites):
    out = programs(build, suites)
    out.add(pytest(build, "not slow and "))
    return out


def load():
    out = script("load", ["tests/load/run", "--short"], 1800)
    out.add(script("all", ["tests/load/all", "--short"], 3600))
    out.add(script("cycles", ["tests/load/cycles", "--cycles", "100"], 1800))
    out.add(script("mutate", ["tests/load/mutate", "--short"], 1800))
    return out


def ship():
    out = pytest_part("build-test", "", [], "tests/ship")
    out.add(script("startup", ["tests/ship/startup"], 600))
    out.add(script("images", ["tests/ship/images"], 3600))
    out.add(script("package", ["tests/ship/package"], 3600))
    out.add(script("compose", ["tests/ship/compose"], 3600))
    out.add(script("kube_play", ["tests/ship/kube_play"], 3600))
    out.add(script("replicas", ["tests/ship/replicas"], 1800))
    return out


SUITES = {
    "lint": lambda: script("lint", ["/usr/bin/python3", "tests/lint/lint.py", "build-test"], 1200),
    "unit": lambda: programs("build-test", ["unit"]),
    "kernels": lambda: programs("build-test", ["kernels"]),
    "golden": golden,
    "fuzz": lambda: programs("build-test", ["fuzz"]),
    "integration": lambda: pytest("build-test"),
    "asan": lambda: sanitized("build-asan", ["unit", "kernels", "fuzz"]),
    "tsan": lambda: sanitized("build-tsan", ["unit"]),
    "docker": lambda: script("docker", ["tests/docker/run"], 3600),
    "load": load,
    "bare": lambda: script("bare", ["tests/bare/run"], 4 * 3600),
    "ship": ship,
}


def report(suite, out, seconds, verbose):
    if out.passed + out.failed + out.skipped == 0:
        out.fail(f"{suite}: the suite has no tests")
    by_text = {}  # a fixture that fails does so in the same words for each of its tests
    for title, text in out.failures:
        by_text.setdefault(text.strip("\n"), []).append(title)
    for text, titles in by_text.items():
        print(f"\nFAILED {suite}: {titles[0]}")
        for title in titles[1:]:
            print(f"   and in the same way: {title}")
        if text.strip():
            print("    " + text.replace("\n", "\n    "))
    print(f"{suite:12} {out.passed:5} passed {out.failed:4} failed {out.skipped:4} skipped {seconds:8.1f} s",
          flush=True)
    for line in sorted(set(out.skips)) if verbose or len(out.skips) <= 3 else []:
        print(f"             skipped {line}")
    for line in out.notes if suite in ("bare", "lint", "docker", "load", "ship") or verbose else []:
        print(f"             {line}")


class Leftovers:
    """What the run makes beside the builds: temporary files, packages of npm, and the builds too where nobody comes back."""

    def __init__(self):
        self.folders = [tempfile.mkdtemp(prefix="mobilenetd-")]
        os.environ["TMPDIR"] = tempfile.tempdir = self.folders[0]
        if not os.path.exists(npm.FOLDER):
            self.folders.append(npm.FOLDER)
        if os.environ.get("CI"):
            self.folders += [os.path.join(ROOT, made) for made in os.environ.get("MOBILENETD_MADE", "").split()]
            quickstart = [os.path.join(ROOT, made) for made in ("build", "models", ".cache/quickstart")]
            self.folders += [made for made in quickstart if not os.path.exists(made)]

    def remove(self):
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


def main(args):
    verbose = "--verbose" in args
    total, failed = tap.Outcome(), []
    for suite in [a for a in args if a != "--verbose"]:
        start = time.monotonic()
        try:
            out = SUITES[suite]()
        except (subprocess.CalledProcessError, OSError, ValueError) as e:
            out = tap.Outcome()
            out.fail(f"{suite}: the runner failed: {e}")
        report(suite, out, time.monotonic() - start, verbose)
        total.add(out)
        failed += [(f"{suite}: {title}", text) for title, text in out.failures]
    for title, text in failed:
        _, found, reason = text.rpartition(REASON)
        print(f"failed: {title}" + (f" ({reason[:200]})" if found else ""))
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    leftovers = Leftovers()

    def stopped(number, frame):
        """Ctrl-C and the like: what runs has sessions of its own, and does not hear of it otherwise."""
        process.end_all()
        leftovers.remove()
        os._exit(128 + number)

    signal.signal(signal.SIGINT, stopped)
    signal.signal(signal.SIGTERM, stopped)
    try:
        sys.exit(main(sys.argv[1:]))
    finally:
        leftovers.remove()
