"""Hooks of pytest: a test that does not end fails by its name and its fixtures are taken down, so that its daemons stop and
the others are run. The limit is about hanging, not about speed. MOBILENETD_CURRENT names a file that gets the name of the
test that runs, for who has to end all of it from outside."""
import os
import signal

import pytest

SECONDS = int(os.environ.get("MOBILENETD_TEST_SECONDS") or 900)


def expired(number, frame):
    raise pytest.fail.Exception(f"still running after {SECONDS} s", pytrace=True)


def limited():
    """Each phase has its own limit, so that what the test left is still taken down."""
    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    if os.environ.get("MOBILENETD_CURRENT"):
        with open(os.environ["MOBILENETD_CURRENT"], "w") as f:
            f.write(item.nodeid)
    yield from limited()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from limited()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    yield from limited()
