"""The networks of nets.py as TFLite files, in the idioms that converters have had over the years.

write(net, idioms) takes the ONNX nodes one after the other: NHWC weights, fused activations, SAME where the padding is that, else
PAD and VALID. `idioms` is a set of words: "pool" (AVERAGE_POOL_2D over the whole map for MEAN), "dense" (FULLY_CONNECTED for a
convolution of one pixel), "words" (HARD_SWISH spelt out), "slices" (SLICE and SPLIT_V for STRIDED_SLICE and SPLIT)."""
import struct

import numpy as np
from onnx import helper, numpy_helper

ADD, AVERAGE_POOL_2D, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, LOGISTIC, MAX_POOL_2D, MUL = 0, 1, 2, 3, 4, 9, 14, 17, 18
RELU, RELU6, RESHAPE, SOFTMAX, PAD, TRANSPOSE, MEAN, STRIDED_SLICE, SPLIT, SLICE, SPLIT_V, HARD_SWISH = \
    19, 21, 22, 25, 34, 39, 40, 45, 49, 65, 102, 117
# BuiltinOptions of the schema.
UNION = {CONV_2D: 1, DEPTHWISE_CONV_2D: 2, AVERAGE_POOL_2D: 5, MAX_POOL_2D: 5, FULLY_CONNECTED: 8, SOFTMAX: 9, CONCATENATION: 10, ADD: 11,
         RESHAPE: 17, MUL: 21, PAD: 22, TRANSPOSE: 26, MEAN: 27, STRIDED_SLICE: 32, SPLIT: 35}
FUSED = {None: 0, "Relu": 1, "Clip": 3}
SAME, VALID = 0, 1


class Flat:
    """A FlatBuffer written from its root on: a table is a dict of {field: value}, a value a number with its struct letter, text,
    bytes, an array, a table or a list of tables."""

    def __init__(self):
        self.b = bytearray(8)

    def align(self, to, before=0):
        self.b.extend(bytes(-(len(self.b) + before) % to))

    def point(self, slot):
        struct.pack_into("<I", self.b, slot, len(self.b) - slot)

    def vector(self, slot, n, data):
        self.align(16, 4)
        self.point(slot)
        self.b += struct.pack("<I", n) + data

    def table(self, slot, fields):
        n = max(fields, default=-1) + 1
        self.align(8)
        vtable = len(self.b)
        self.b += bytes(4 + 2 * n)
        self.align(8, 4)
        self.point(slot)
        at = len(self.b)
        self.b += struct.pack("<i", at - vtable) + bytes(8 * n)
        struct.pack_into("<HH", self.b, vtable, 4 + 2 * n, 4 + 8 * n)
        for i, value in fields.items():
            struct.pack_into("<H", self.b, vtable + 4 + 2 * i, 4 + 8 * i)
            self.value(at + 4 + 8 * i, value)

    def value(self, slot, v):
        if isinstance(v, tuple):
            struct.pack_into("<" + v[0], self.b, slot, v[1])
        elif isinstance(v, dict):
            self.table(slot, v)
        elif isinstance(v, list):
            self.vector(slot, len(v), bytes(4 * len(v)))
            first = len(self.b) - 4 * len(v)
            for i, t in enumerate(v):
                self.table(first + 4 * i, t)
        elif isinstance(v, np.ndarray):
            self.vector(slot, v.size, v.tobytes())
        else:
            v = v.encode() if isinstance(v, str) else v
            self.vector(slot, len(v), v)


class File:
    TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int8": 9}

    def __init__(self):
        self.tensors, self.buffers, self.ops, self.codes = [], [{}], [], []

    def tensor(self, name, shape, dtype=np.float32, data=None):
        table = {0: np.asarray(shape, np.int32), 1: ("b", self.TYPES[np.dtype(dtype).name]), 3: name}
        if data is not None:
            table[2] = ("I", len(self.buffers))
            self.buffers.append({0: np.ascontiguousarray(data, dtype).tobytes()})
        self.tensors.append(table)
        return len(self.tensors) - 1

    def constant(self, data, dtype=np.float32):
        data = np.asarray(data, dtype)
        return self.tensor(f"const_{len(self.tensors)}", data.shape, dtype, data)

    def op(self, code, inputs, outputs, options=None):
        if code not in self.codes:
            self.codes.append(code)
        table = {0: ("I", self.codes.index(code)), 1: np.asarray(inputs, np.int32), 2: np.asarray(outputs, np.int32)}
        if options is not None and code in UNION:
            table[3], table[4] = ("B", UNION[code]), options
        self.ops.append(table)

    def bytes(self, output):
        flat = Flat()
        flat.b[4:8] = b"TFL3"
        subgraph = {0: self.tensors, 1: np.asarray([0], np.int32), 2: np.asarray([output], np.int32), 3: self.ops}
        codes = [{0: ("b", min(c, 127)), 2: ("i", 1), 3: ("i", c)} for c in self.codes]
        flat.table(0, {0: ("I", 3), 1: codes, 2: [subgraph], 3: "tflite_net", 4: self.buffers})
        return bytes(flat.b)


class Converter:
    def __init__(self, net, idioms):
        self.net, self.idioms, self.file = net, idioms, File()
        self.constants = {c.name: numpy_helper.to_array(c) for c in net.constants}
        self.at = {"input": self.file.tensor("input", [1, net.side, net.side, 3])}
        self.shape = {0: (1, net.side, net.side, 3)}
        self.readers = {}
        for n in net.nodes:
            for v in n.input:
                self.readers.setdefault(v, []).append(n)

    # ---- what stands before and behind a node ----

    def made(self, name, shape):
        t = self.file.tensor(name, shape)
        self.shape[t] = tuple(shape)
        return t

    def emit(self, code, inputs, name, shape, options=None):
        t = self.made(name, shape)
        self.file.op(code, inputs, [t], options)
        return t

    def is_relu6(self, n):
        return n.op_type == "Clip" and [float(self.constants[v]) for v in n.input[1:]] == [0, 6]

    def fused(self, n):
        """The activation that n alone feeds, which goes into its operator: (name, value that stands for both)."""
        after = self.readers.get(n.output[0], [])
        if len(after) == 1 and (after[0].op_type == "Relu" or self.is_relu6(after[0])):
            self.skip.add(after[0].name)
            return after[0].op_type, after[0].output[0]
        return None, n.output[0]

    def nhwc(self, name):
        shape = self.net.shape[name]
        return (1, *shape[1:], shape[0]) if len(shape) == 3 else (1, *shape)

    # ---- operators ----

    def window(self, x, attributes, k, s, zero_is_least=True):
        """Input and padding scheme; explicit padding that is not SAME becomes a PAD in front."""
        shape = self.shape[x]
        if attributes.get("auto_pad") == b"SAME_UPPER":
            return x, SAME
        top, left, bottom, right = attributes.get("pads", [0] * 4)
        if not any((top, left, bottom, right)):
            return x, VALID
        wanted = []
        for size, kk, ss in zip(shape[1:3], k, s):
            total = max((-(-size // ss) - 1) * ss + kk - size, 0)
            wanted += [(total // 2, total - total // 2)]
        if wanted == [(top, bottom), (left, right)]:
            return x, SAME
        pads = self.file.constant([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        shape = (1, shape[1] + top + bottom, shape[2] + left + right, shape[3])
        return self.emit(PAD, [x, pads], f"pad_{len(self.file.tensors)}", shape, {}), VALID

    def conv(self, n, x, a):
        weights, groups = self.constants[n.input[1]], a.get("group", 1)
        act, out = self.fused(n)
        bias = self.file.constant(self.constants[n.input[2]])
        k, s, d = a["kernel_shape"], a["strides"], a.get("dilations", [1, 1])
        shape, channels = self.nhwc(out), self.shape[x][3]
        if self.shape[x][1:3] == (1, 1) and "dense" in self.idioms:
            w = self.file.constant(weights.reshape(weights.shape[:2]))
            options = {0: ("b", FUSED[act]), 2: ("b", 1)}
            return out, self.emit(FULLY_CONNECTED, [x, w, bias], out, shape, options)
        x, scheme = self.window(x, a, k, s)
        strides = {0: ("b", scheme), 1: ("i", s[1]), 2: ("i", s[0])}
        if groups == channels > 1:
            w = self.file.constant(weights.transpose(1, 2, 3, 0))
            return out, self.emit(DEPTHWISE_CONV_2D, [x, w, bias], out, shape, {
                **strides, 3: ("i", weights.shape[0] // groups), 4: ("b", FUSED[act]), 5: ("i", d[1]), 6: ("i", d[0])})
        w = self.file.constant(weights.transpose(0, 2, 3, 1))
        return out, self.emit(CONV_2D, [x, w, bias], out, shape,
                              {**strides, 3: ("b", FUSED[act]), 4: ("i", d[1]), 5: ("i", d[0])})

    def gemm(self, n, x, a):
        act, out = self.fused(n)
        inputs = [x, self.file.constant(self.constants[n.input[1]]), self.file.constant(self.constants[n.input[2]])]
        return out, self.emit(FULLY_CONNECTED, inputs, out, self.nhwc(out), {0: ("b", FUSED[act])})

    def binary(self, n, x, a):
        act, out = self.fused(n)
        code = ADD if n.op_type == "Add" else MUL
        c = self.constants.get(n.input[1])
        if n.op_type == "Div":
            c = 1 / c
        other = self.at[n.input[1]] if c is None else self.file.constant(c)
        pair = [other, x] if c is None and self.shape[other] != self.shape[x] and "words" in self.idioms else [x, other]
        return out, self.emit(code, pair, out, self.nhwc(out), {0: ("b", FUSED[act])})

    def hard(self, n, x, a):
        """x * relu6(x + 3) / 6, or without the first factor."""
        out, shape, swish = n.output[0], self.shape[x], n.op_type == "HardSwish"
        if swish and "words" not in self.idioms:
            return out, self.emit(HARD_SWISH, [x], out, shape)
        y = self.emit(ADD, [x, self.file.constant(3)], out + "/add", shape, {0: ("b", FUSED["Clip"])})
        if swish:
            y = self.emit(MUL, [x, y], out + "/mul", shape, {0: ("b", 0)})
        return out, self.emit(MUL, [y, self.file.constant(1 / 6)], out, shape, {0: ("b", 0)})

    def unary(self, n, x, a):
        code = {"Relu": RELU, "Clip": RELU6, "Sigmoid": LOGISTIC}[n.op_type]
        return n.output[0], self.emit(code, [x], n.output[0], self.shape[x])

    def softmax(self, n, x, a):
        return n.output[0], self.emit(SOFTMAX, [x], n.output[0], self.shape[x], {0: ("f", 1.0)})

    def global_pool(self, n, x, a):
        out, (_, h, w, c) = n.output[0], self.shape[x]
        if "pool" in self.idioms:
            options = {0: ("b", VALID), 1: ("i", w), 2: ("i", h), 3: ("i", w), 4: ("i", h), 5: ("b", 0)}
            return out, self.emit(AVERAGE_POOL_2D, [x], out, (1, 1, 1, c), options)
        return out, self.emit(MEAN, [x, self.file.constant([1, 2], np.int32)], out, (1, 1, 1, c), {0: ("b", 1)})

    def max_pool(self, n, x, a):
        """Behind ReLU, where a zero is as good as what stands outside."""
        k, s = a["kernel_shape"], a["strides"]
        x, scheme = self.window(x, a, k, s)
        return n.output[0], self.emit(MAX_POOL_2D, [x], n.output[0], self.nhwc(n.output[0]), {
            0: ("b", scheme), 1: ("i", s[1]), 2: ("i", s[0]), 3: ("i", k[1]), 4: ("i", k[0]), 5: ("b", 0)})

    def reshape(self, n, x, a):
        shape = self.net.shape[n.output[0]]
        to = (1, *shape[2:], *shape[:2]) if len(shape) == 4 else self.nhwc(n.output[0])
        inputs = [x, self.file.constant(to, np.int32)]
        return n.output[0], self.emit(RESHAPE, inputs, n.output[0], to, {0: np.asarray(to, np.int32)})

    def transpose(self, n, x, a):
        """The exchange in a channel shuffle: groups and channels stand last."""
        assert a["perm"] == [0, 2, 1, 3, 4]
        b, h, w, g, c = self.shape[x]
        return n.output[0], self.emit(TRANSPOSE, [x, self.file.constant([0, 1, 2, 4, 3], np.int32)], n.output[0], (b, h, w, c, g), {})

    def concat(self, n, x, a):
        inputs = [self.at[v] for v in n.input]
        return n.output[0], self.emit(CONCATENATION, inputs, n.output[0], self.nhwc(n.output[0]), {0: ("i", 3), 1: ("b", 0)})

    def split(self, n, x, a):
        outputs = [self.made(v, self.nhwc(v)) for v in n.output]
        axis = self.file.constant(3, np.int32)
        if "slices" in self.idioms:
            self.file.op(SPLIT_V, [x, self.file.constant(self.constants[n.input[1]], np.int32), axis], outputs)
        else:
            self.file.op(SPLIT, [axis, x], outputs, {0: ("i", len(outputs))})
        self.at.update(zip(n.output, outputs))
        return None, None

    def slice(self, n, x, a):
        start, end = (int(self.constants[v][0]) for v in n.input[1:3])
        _, h, w, c = self.shape[x]
        begin, shape = self.file.constant([0, 0, 0, start], np.int32), self.nhwc(n.output[0])
        if "slices" in self.idioms:
            size = self.file.constant([-1, h, w, -1 if end == c else end - start], np.int32)
            return n.output[0], self.emit(SLICE, [x, begin, size], n.output[0], shape)
        inputs = [x, begin, self.file.constant([0, 0, 0, end], np.int32), self.file.constant([1] * 4, np.int32)]
        return n.output[0], self.emit(STRIDED_SLICE, inputs, n.output[0], shape,
                                      {0: ("i", 7), 1: ("i", 7), 2: ("i", 0), 3: ("i", 0), 4: ("i", 0)})

    def convert(self):
        table = {"Conv": self.conv, "Gemm": self.gemm, "Add": self.binary, "Mul": self.binary, "Div": self.binary,
                 "HardSwish": self.hard, "HardSigmoid": self.hard, "Relu": self.unary, "Clip": self.unary, "Sigmoid": self.unary,
                 "Softmax": self.softmax, "GlobalAveragePool": self.global_pool, "MaxPool": self.max_pool, "Flatten": self.reshape,
                 "Reshape": self.reshape, "Transpose": self.transpose, "Concat": self.concat, "Split": self.split,
                 "Slice": self.slice}
        self.skip = set()
        for n in self.net.nodes:
            if n.name in self.skip:
                continue
            a = {v.name: helper.get_attribute_value(v) for v in n.attribute}
            name, t = table[n.op_type](n, self.at[n.input[0]], a)
            if name:
                self.at[name] = t
        return self.file.bytes(self.at[self.net.logits])


def write(net, idioms):
    """The file; its output is the logits."""
    return Converter(net, set(idioms)).convert()
