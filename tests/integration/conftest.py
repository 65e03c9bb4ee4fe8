"""Fixtures: repositories of models and daemons that serve them."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import models  # noqa: E402
import onnx_runtime  # noqa: E402
import tinymodel  # noqa: E402
from daemon import ROOT, Daemon  # noqa: E402
from limit import pytest_runtest_call, pytest_runtest_setup, pytest_runtest_teardown  # noqa: E402,F401
from secure import Authority, Secure  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out under sanitizers")
    config.addinivalue_line("markers", "patient: tells no time, so that it may run niced beside those that do")


@pytest.fixture(scope="session")
def shared():
    """The folder of real models, photos and golden answers."""
    path = os.path.abspath(os.environ.get("MOBILENETD_SHARED") or os.path.join(ROOT, "..", "shared"))
    if not os.path.isdir(os.path.join(path, "models")):
        pytest.skip("no ../shared with real models")
    return path


@pytest.fixture(scope="session")
def runtime():
    """A folder with ONNX Runtime in its node_modules."""
    try:
        return onnx_runtime.install()
    except onnx_runtime.Missing as e:
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    tinymodel.repository(str(path))
    return path


@pytest.fixture(scope="session")
def real_models(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    try:
        models.pull(path, "mobilenet_v1_1.0_224", "mobilenet_v1_0.25_128", "mobilenet_v2_1.0_224")
    except models.Missing as e:
        pytest.skip(str(e))
    return path


def serve(*args, **kwargs):
    d = Daemon(*args, **kwargs)
    yield d
    d.stop()


@pytest.fixture(scope="module")
def tiny(tiny_models):
    """A daemon with the tiny models, shared by a module's tests."""
    yield from serve(tiny_models, "--log-format", "json")


@pytest.fixture(scope="session")
def real(real_models):
    """A daemon with real MobileNets, shared by all tests: to load them takes a sanitizer long."""
    yield from serve(real_models)


@pytest.fixture
def start(tiny_models):
    """start(flag…): a daemon of one test's own, stopped and judged after it."""
    daemons = []

    def make(*flags, models=tiny_models, **kwargs):
        daemons.append(Daemon(models, *flags, **kwargs))
        return daemons[-1]

    yield make
    for d in daemons:
        d.stop()


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("other"), "other")


@pytest.fixture
def secure(tiny_models, ca):
    daemons = []

    def make(*flags, client=None):
        cert, key = ca.sign("server", "serverAuth")
        daemons.append(Secure(ca, tiny_models, "--tls-cert", cert, "--tls-key", key, *flags, client=client))
        return daemons[-1]

    yield make
    for d in daemons:
        d.stop()
