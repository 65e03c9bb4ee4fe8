"""ONNX Runtime of npm."""
import npm

FOLDER, Missing = npm.FOLDER, npm.Missing
PACKAGE = "onnxruntime-node@1.30.0"


def install():
    """The folder whose node_modules has it."""
    return npm.install(PACKAGE)
