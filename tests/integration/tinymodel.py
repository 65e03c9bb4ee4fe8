"""Writes tiny, complete TFLite models, so that the whole daemon can be tested without real weights.

The network tells the main colour of a picture: 1x1 convolution, global average pool, reshape, softmax;
uint8 per-tensor. Its logits are known in closed form: 2 x the colour minus the mean of the other two."""
import json
import os

import flatbuffers
import numpy as np

U8, I32 = 3, 2
AVERAGE_POOL_2D, CONV_2D, LOGISTIC, RESHAPE, SOFTMAX, RELU_0_TO_1 = 1, 3, 14, 22, 25, 152
ENDS = {"softmax": SOFTMAX, "sigmoid": LOGISTIC, "clamp": RELU_0_TO_1}
LABELS = ["background", "red", "green", "blue"]
IN_SCALE, IN_ZERO = 1 / 128, 128
W_SCALE, W_ZERO = 1 / 64, 128
OUT_SCALE, OUT_ZERO = 8 / 255, 128
WEIGHTS = np.array([[-1, -1, -1], [2, -1, -1], [-1, 2, -1], [-1, -1, 2]]) / 2


class Table:
    """A FlatBuffers table from (slot, writer) pairs; children must be made before."""

    def __init__(self, b, slots):
        b.StartObject(slots)
        self.b = b

    def ref(self, slot, offset):
        self.b.PrependUOffsetTRelativeSlot(slot, offset, 0)
        return self

    def i32(self, slot, value):
        self.b.PrependInt32Slot(slot, value, 0)
        return self

    def u32(self, slot, value):
        self.b.PrependUint32Slot(slot, value, 0)
        return self

    def i8(self, slot, value):
        self.b.PrependInt8Slot(slot, value, 0)
        return self

    def f32(self, slot, value):
        self.b.PrependFloat32Slot(slot, value, 0.0)
        return self

    def end(self):
        return self.b.EndObject()


def offsets(b, items):
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def numbers(b, values, dtype):
    return b.CreateNumpyVector(np.asarray(values, dtype))


def tensor(b, name, shape, kind, buffer, scale, zero):
    scales, zeros = numbers(b, [scale], np.float32), numbers(b, [zero], np.int64)
    quant = Table(b, 7).ref(2, scales).ref(3, zeros).end()
    label, dims = b.CreateString(name), numbers(b, shape, np.int32)
    return Table(b, 10).ref(0, dims).i8(1, kind).u32(2, buffer).ref(3, label).ref(4, quant).end()


def operator(b, opcode, inputs, outputs, options_type, options):
    ins, outs = numbers(b, inputs, np.int32), numbers(b, outputs, np.int32)
    t = Table(b, 9).u32(0, opcode).ref(1, ins).ref(2, outs).i8(3, options_type)
    return (t.ref(4, options) if options else t).end()


def colour_model(side, weights=WEIGHTS, embeds=False, end="softmax"):
    """The bytes of the model for pictures of side x side pixels. With `embeds` it pools before it multiplies, so
    that there is a vector in front of the classes: the mean colour. end: what stands behind the logits, "none", or
    "map" for no logits but the features of every pixel, "two" for these and the picture's mean as two outputs."""
    b = flatbuffers.Builder(4096)
    n = len(weights)
    weights = np.clip(np.rint(weights / W_SCALE) + W_ZERO, 0, 255).astype(np.uint8)
    blobs = [b"", weights.tobytes(), np.zeros(n, "<i4").tobytes(), np.array([1, n], "<i4").tobytes()]
    buffers = []
    for blob in blobs:
        data = numbers(b, np.frombuffer(blob, np.uint8), np.uint8) if blob else 0
        buffers.append((Table(b, 1).ref(0, data) if data else Table(b, 1)).end())
    grid = [1, side, side]
    tensors = [
        tensor(b, "input", grid + [3], U8, 0, IN_SCALE, IN_ZERO),
        tensor(b, "weights", [n, 1, 1, 3], U8, 1, W_SCALE, W_ZERO),
        tensor(b, "bias", [n], I32, 2, IN_SCALE * W_SCALE, 0),
        tensor(b, "mean", [1, 1, 1, 3], U8, 0, IN_SCALE, IN_ZERO) if embeds else
        tensor(b, "features", grid + [n], U8, 0, OUT_SCALE, OUT_ZERO),
        tensor(b, "pooled", [1, 1, 1, n], U8, 0, OUT_SCALE, OUT_ZERO),
        tensor(b, "shape", [2], I32, 3, 0, 0),
        tensor(b, "logits", [1, n], U8, 0, OUT_SCALE, OUT_ZERO),
        tensor(b, "scores", [1, n], U8, 0, 1 / 256, 0),
    ] + [tensor(b, "average", [1, 1, 1, 3], U8, 0, IN_SCALE, IN_ZERO)] * (end == "two")
    conv = Table(b, 6).i8(0, 1).i32(1, 1).i32(2, 1).end()
    pool = Table(b, 6).i8(0, 1).i32(1, side).i32(2, side).i32(3, side).i32(4, side).end()
    new_shape = numbers(b, [1, n], np.int32)
    reshape = Table(b, 1).ref(0, new_shape).end()
    softmax = Table(b, 1).f32(0, 1.0).end()
    first = [operator(b, 1, [0], [3], 5, pool), operator(b, 0, [3, 1, 2], [4], 1, conv)] if embeds else [
        operator(b, 0, [0, 1, 2], [3], 1, conv), operator(b, 1, [3], [4], 5, pool)]
    last = operator(b, 3, [6], [7], 9, softmax) if end == "softmax" else operator(b, 3, [6], [7], 0, 0)
    operators = first + [operator(b, 2, [4, 5], [6], 17, reshape), last]
    outputs = {"none": [6], "map": [3], "two": [3, 8]}.get(end, [7])
    operators = operators[:{"none": 3, "map": 1, "two": 1}.get(end, 4)]
    if end == "two":
        operators.append(operator(b, 1, [0], [8], 5, pool))
    codes = [Table(b, 4).i8(0, min(c, 127)).i32(2, 1).i32(3, c).end()
             for c in (CONV_2D, AVERAGE_POOL_2D, RESHAPE, ENDS.get(end, SOFTMAX))]
    lists = offsets(b, tensors), numbers(b, [0], np.int32), numbers(b, outputs, np.int32), offsets(b, operators)
    graph = Table(b, 5)
    for slot, item in enumerate(lists):
        graph.ref(slot, item)
    graphs = offsets(b, [graph.end()])
    opcodes, text, pool_of_bytes = offsets(b, codes), b.CreateString("colours"), offsets(b, buffers)
    model = Table(b, 8).u32(0, 3).ref(1, opcodes).ref(2, graphs).ref(3, text).ref(4, pool_of_bytes).end()
    b.Finish(model, b"TFL3")
    return bytes(b.Output())


def write(repository, name, side, family=None, variant=None, labels=LABELS, version=1, weights=WEIGHTS,
          embeds=False, end="softmax", **more):
    """Makes NAME/VERSION in a repository folder. more: keys of its manifest."""
    folder = os.path.join(repository, name, str(version))
    os.makedirs(folder)
    with open(os.path.join(folder, "model.tflite"), "wb") as f:
        f.write(colour_model(side, weights, embeds, end))
    with open(os.path.join(folder, "labels.txt"), "w") as f:
        f.write("".join(label + "\n" for label in labels))
    manifest = {
        "format": "tflite", "files": ["model.tflite"], "labels": "labels.txt", "class_offset": 1,
        "licence": "Apache-2.0",
        "input": {"height": side, "width": side, "resize": "short_side", "filter": "bilinear",
                  "channels": "rgb", "mean": 128, "scale": 1 / 128}}
    if family:
        manifest.update(family=family, variant=variant)
    manifest.update(more)
    with open(os.path.join(folder, "model.json"), "w") as f:
        json.dump(manifest, f)


def repository(path):
    """Two rungs of the family `colour`, and a model `inverse` whose labels are turned round."""
    write(path, "colour_16", 16, "colour", "16")
    write(path, "colour_32", 32, "colour", "32")
    write(path, "inverse", 16, labels=["background", "blue", "green", "red"])


def logits(rgb, weights=WEIGHTS):
    """Of a picture of one colour."""
    x = (np.asarray(rgb, float) - IN_ZERO) * IN_SCALE
    return (np.rint(np.clip(weights @ x / OUT_SCALE + OUT_ZERO, 0, 255)) - OUT_ZERO) * OUT_SCALE


def scores(rgb):
    """What the network says of a picture of one colour: softmax over all four outputs."""
    x = logits(rgb)
    e = np.exp(x - np.max(x))
    return e / e.sum()
