"""Networks of other papers, written as ONNX files, give what ONNX Runtime gives: tests/models/run without times."""
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from daemon import BINARY, ROOT

MODELS = os.path.join(ROOT, "tests", "models")
PROGRAM = os.path.join(os.path.dirname(BINARY), "tests", "models", "run_net")
NETS = ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "squeezenet", "inception_v3",
        "xception", "resnet50", "efficientnet_lite0", "mnasnet", "shufflenet_v2", "resizes", "qlinear", "tables"]
TFLITE = {"mobilenet_v3_small", "mobilenet_v3_large", "shufflenet_v2"}

pytestmark = [pytest.mark.slow, pytest.mark.patient,
              pytest.mark.skipif(not importlib.util.find_spec("onnx"), reason="no python3-onnx")]


@pytest.mark.parametrize("name", NETS)
def test_onnx_runtime_agrees(runtime, name):
    p = subprocess.run([sys.executable, os.path.join(MODELS, "run"), "--seconds", "0", "--json", "--binary", PROGRAM, name],
                       capture_output=True, text=True, timeout=300)
    assert p.returncode == 0, p.stdout + p.stderr
    row = json.loads(p.stdout)
    print(f"{name}: largest difference {row['difference']:.2e} of {row['largest']:.3f}")
    assert ("tflite_difference" in row) == (name in TFLITE)
    assert row["same_top1"] and row["outputs"] == 1000 and row["largest"] > 0.1
