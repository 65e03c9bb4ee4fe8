"""A small builder of ONNX files: layers with seeded weights (He et al. 2015), in the idioms of common exporters."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Net:
    """One graph under construction. Values go by name; self.shape has their (channels, height, width)."""

    def __init__(self, name, side, opset=13, seed=1, folded=True):
        self.name, self.opset, self.folded, self.side = name, opset, folded, side
        self.tolerance = 1e-4  # of the largest logit
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.shape = [], [], {"input": (3, side, side)}
        self.inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])]
        self.x = "input"

    def constant(self, value, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op, inputs, shape, domain="", **attributes):
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, domain=domain, **attributes))
        self.shape[name] = shape
        return name

    @staticmethod
    def slide(size, k, s, pads, d=1, ceil=False):
        room = size + pads - ((k - 1) * d + 1)
        return (-(-room // s) if ceil else room // s) + 1

    # ---- layers ----

    def norm(self, x):
        c = self.shape[x][0]
        r = self.random
        scale = r.uniform(0.8, 1.2, c), r.normal(0, 0.1, c), r.normal(0, 0.1, c), r.uniform(0.8, 1.2, c)
        return self.node("BatchNormalization", [x] + [self.constant(v) for v in scale], self.shape[x], epsilon=1e-3)

    def conv(self, x, out, k=1, s=1, p=None, groups=1, act="Relu", norm=True, gain=2.0, same=False, d=1):
        """k: a number or (high, wide). p: None for k // 2. same: by the words SAME_UPPER."""
        kh, kw = (k, k) if isinstance(k, int) else k
        c, h, w = self.shape[x]
        ph, pw = (kh // 2 * d, kw // 2 * d) if p is None else (p, p)
        weights = self.random.normal(0, np.sqrt(gain / (c // groups * kh * kw)), (out, c // groups, kh, kw))
        inputs = [x, self.constant(weights)]
        if self.folded or not norm:
            inputs.append(self.constant(self.random.normal(0, 0.1, out)))
        shape = (out, self.slide(h, kh, s, 2 * ph, d), self.slide(w, kw, s, 2 * pw, d))
        pads = {"pads": [ph, pw, ph, pw]}
        if same:
            shape, pads = (out, -(-h // s), -(-w // s)), {"auto_pad": "SAME_UPPER"}
        x = self.node("Conv", inputs, shape, kernel_shape=[kh, kw], strides=[s, s], group=groups,
                      dilations=[d, d], **pads)
        if norm and not self.folded:
            x = self.norm(x)
        return self.act(x, act)

    def depthwise(self, x, k=3, s=1, act="Relu", **more):
        c = self.shape[x][0]
        return self.conv(x, c, k, s, groups=c, act=act, **more)

    def act(self, x, kind):
        shape = self.shape[x]
        if kind is None:
            return x
        if kind == "Relu6":
            return self.node("Clip", [x, self.constant(0), self.constant(6)], shape)
        if kind == "HardSwish" and self.opset < 14:  # as exporters wrote it before there was such an operator
            gate = self.act(self.node("Add", [x, self.constant(3)], shape), "Relu6")
            return self.node("Div", [self.node("Mul", [x, gate], shape), self.constant(6)], shape)
        if kind == "Swish":
            return self.node("Mul", [x, self.node("Sigmoid", [x], shape)], shape)
        if kind == "HardSigmoid":
            return self.node(kind, [x], shape, alpha=1 / 6, beta=0.5)
        return self.node(kind, [x], shape)

    def add(self, a, b, act=None):
        return self.act(self.node("Add", [a, b], self.shape[a]), act)

    def concat(self, *xs):
        _, h, w = self.shape[xs[0]]
        return self.node("Concat", list(xs), (sum(self.shape[x][0] for x in xs), h, w), axis=1)

    def split(self, x, *lengths):
        """Two parts along the channels."""
        c, h, w = self.shape[x]
        name = f"split_{len(self.nodes)}"
        outputs = [f"{name}_{i}" for i in range(2)]
        parts = self.constant([lengths[0], c - lengths[0]], np.int64)
        self.nodes.append(helper.make_node("Split", [x, parts], outputs, name=name, axis=1))
        for output, length in zip(outputs, (lengths[0], c - lengths[0])):
            self.shape[output] = (length, h, w)
        return outputs

    def slice(self, x, start, end):
        _, h, w = self.shape[x]
        at = [self.constant([v], np.int64) for v in (start, end, 1)]
        return self.node("Slice", [x, *at], (end - start, h, w))

    def pool(self, x, kind="MaxPool", k=3, s=2, p=0, ceil=False, **more):
        c, h, w = self.shape[x]
        shape = (c, self.slide(h, k, s, 2 * p, ceil=ceil), self.slide(w, k, s, 2 * p, ceil=ceil))
        if ceil:
            more["ceil_mode"] = 1
        return self.node(kind, [x], shape, kernel_shape=[k, k], strides=[s, s], pads=[p] * 4, **more)

    def squeeze_excite(self, x, middle, gate="HardSigmoid"):
        c = self.shape[x][0]
        s = self.node("GlobalAveragePool", [x], (c, 1, 1))
        s = self.conv(s, middle, norm=False)
        s = self.conv(s, c, act=gate, norm=False, gain=1.0)
        return self.node("Mul", [x, s], self.shape[x])

    def global_pool(self, x):
        return self.node("GlobalAveragePool", [x], (self.shape[x][0], 1, 1))

    def dense(self, x, out, act=None):
        c = int(np.prod(self.shape[x]))
        if len(self.shape[x]) == 3:
            x = self.node("Flatten", [x], (c,), axis=1)
        weights = self.random.normal(0, np.sqrt(2 / c), (out, c))
        bias = self.random.normal(0, 0.1, out)
        return self.act(self.node("Gemm", [x, self.constant(weights), self.constant(bias)], (out,), transB=1), act)

    def finish(self, x, logits=None):
        """Makes x the output; logits: what stands before a softmax there. Returns the net itself."""
        outputs = [helper.make_tensor_value_info(v, TensorProto.FLOAT, [1, *self.shape[v]])
                   for v in dict.fromkeys((logits or x, x))]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, outputs, self.constants)
        domains = [helper.make_opsetid("", self.opset)]
        if any(n.domain for n in self.nodes):
            domains.append(helper.make_opsetid("com.microsoft", 1))
        model = helper.make_model(graph, producer_name="onnx_net", opset_imports=domains)
        model.ir_version = 7
        self.file, self.logits = model.SerializeToString(), logits or x
        return self
