"""Image classifiers written down from their papers, as ONNX files with seeded weights."""
import numpy as np
from onnx_net import Net


def mobilenet_v1(side=224, alpha=1):
    """Howard et al. 2017, table 1. Batch norms stand alone."""
    n = Net("mobilenet_v1", side, folded=False)
    x = n.conv("input", int(32 * alpha), 3, 2, act="Relu6")
    for out, s in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]:
        x = n.conv(n.depthwise(x, 3, s, "Relu6"), int(out * alpha), act="Relu6")
    x = n.dense(n.global_pool(x), 1000)
    return n.finish(n.node("Softmax", [x], (1000,), axis=1), x)


def inverted(n, x, out, k, s, expand, act, se=0, gate="HardSigmoid", norm_gain=1.0, same=False):
    """The block of MobileNet V2 and all that came of it."""
    c = n.shape[x][0]
    y = n.conv(x, expand, act=act) if expand != c else x
    y = n.depthwise(y, k, s, act, same=same)
    if se:
        y = n.squeeze_excite(y, se, gate)
    y = n.conv(y, out, act=None, gain=norm_gain)
    return n.add(x, y) if s == 1 and out == c else y


def mobilenet_v2(side=224):
    """Sandler et al. 2018, table 2. Padding by words, as TensorFlow's converters leave it."""
    n = Net("mobilenet_v2", side, opset=11)
    x = n.conv("input", 32, 3, 2, act="Relu6", same=True)
    for t, out, repeat, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                              (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(repeat):
            x = inverted(n, x, out, 3, s if i == 0 else 1, t * n.shape[x][0], "Relu6", same=True)
    return n.finish(n.dense(n.global_pool(n.conv(x, 1280, act="Relu6")), 1000))


# Howard et al. 2019, tables 1 and 2: kernel, expansion, output, squeeze-excite, h-swish, stride.
V3_LARGE = [(3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2), (5, 120, 40, 1, 0, 1),
            (5, 120, 40, 1, 0, 1), (3, 240, 80, 0, 1, 2), (3, 200, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1),
            (3, 184, 80, 0, 1, 1), (3, 480, 112, 1, 1, 1), (3, 672, 112, 1, 1, 1), (5, 672, 160, 1, 1, 2),
            (5, 960, 160, 1, 1, 1), (5, 960, 160, 1, 1, 1)]
V3_SMALL = [(3, 16, 16, 1, 0, 2), (3, 72, 24, 0, 0, 2), (3, 88, 24, 0, 0, 1), (5, 96, 40, 1, 1, 2), (5, 240, 40, 1, 1, 1),
            (5, 240, 40, 1, 1, 1), (5, 120, 48, 1, 1, 1), (5, 144, 48, 1, 1, 1), (5, 288, 96, 1, 1, 2),
            (5, 576, 96, 1, 1, 1), (5, 576, 96, 1, 1, 1)]


def mobilenet_v3(name, rows, last, hidden, opset, side=224):
    n = Net(name, side, opset=opset)
    x = n.conv("input", 16, 3, 2, act="HardSwish")
    for k, expand, out, se, hs, s in rows:
        middle = (expand // 4 + 4) // 8 * 8 if se else 0
        x = inverted(n, x, out, k, s, expand, "HardSwish" if hs else "Relu", middle)
    x = n.global_pool(n.conv(x, last, act="HardSwish"))
    return n.finish(n.dense(n.dense(x, hidden, act="HardSwish"), 1000))


def squeezenet(side=224):
    """Iandola et al. 2016, version 1.1."""
    n = Net("squeezenet_1.1", side, opset=9)

    def fire(x, squeeze, expand):
        s = n.conv(x, squeeze, norm=False)
        return n.concat(n.conv(s, expand, norm=False), n.conv(s, expand, 3, norm=False))

    x = n.pool(n.conv("input", 64, 3, 2, p=0, norm=False))
    for squeeze, expand, then in [(16, 64, 0), (16, 64, 1), (32, 128, 0), (32, 128, 1), (48, 192, 0), (48, 192, 0),
                                  (64, 256, 0), (64, 256, 0)]:
        x = fire(x, squeeze, expand)
        x = n.pool(x) if then else x
    return n.finish(n.node("Flatten", [n.global_pool(n.conv(x, 1000, norm=False))], (1000,), axis=1))


def inception_v3(side=299):
    """Szegedy et al. 2015, as torchvision has it, without the auxiliary head."""
    n = Net("inception_v3", side, folded=False)
    c = n.conv

    def average(x, out):
        return c(n.pool(x, "AveragePool", 3, 1, 1, count_include_pad=1), out)

    def chain(x, *layers):
        for out, k, *more in layers:
            x = c(x, out, k, *more)
        return x

    x = chain("input", (32, 3, 2, 0), (32, 3, 1, 0), (64, 3))
    x = n.pool(chain(n.pool(x), (80, 1), (192, 3, 1, 0)))
    for pool in (32, 64, 64):
        x = n.concat(c(x, 64), chain(x, (48, 1), (64, 5)), chain(x, (64, 1), (96, 3), (96, 3)), average(x, pool))
    x = n.concat(c(x, 384, 3, 2, 0), chain(x, (64, 1), (96, 3), (96, 3, 2, 0)), n.pool(x))
    for m in (128, 160, 160, 192):
        x = n.concat(c(x, 192), chain(x, (m, 1), (m, (1, 7)), (192, (7, 1))),
                     chain(x, (m, 1), (m, (7, 1)), (m, (1, 7)), (m, (7, 1)), (192, (1, 7))), average(x, 192))
    x = n.concat(chain(x, (192, 1), (320, 3, 2, 0)), chain(x, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, 0)),
                 n.pool(x))
    for _ in range(2):
        b = c(x, 384)
        d = chain(x, (448, 1), (384, 3))
        x = n.concat(c(x, 320), n.concat(c(b, 384, (1, 3)), c(b, 384, (3, 1))),
                     n.concat(c(d, 384, (1, 3)), c(d, 384, (3, 1))), average(x, 192))
    return n.finish(n.dense(n.global_pool(x), 1000))


def xception(side=299):
    """Chollet 2016, figure 5."""
    n = Net("xception", side)

    def separable(x, out, before=None, act=None):
        return n.conv(n.depthwise(n.act(x, before), act=None, gain=1.0), out, act=act)

    x = n.conv(n.conv("input", 32, 3, 2, 0), 64, 3, 1, 0)
    for out, first in [(128, None), (256, "Relu"), (728, "Relu")]:
        y = n.pool(separable(separable(x, out, first), out, "Relu"), p=1)
        x = n.add(y, n.conv(x, out, 1, 2, act=None, gain=0.5))
    for _ in range(8):
        y = x
        for _ in range(3):
            y = separable(y, 728, "Relu")
        x = n.add(x, y)
    y = n.pool(separable(separable(x, 728, "Relu"), 1024, "Relu"), p=1)
    x = n.add(y, n.conv(x, 1024, 1, 2, act=None, gain=0.5))
    x = separable(separable(x, 1536, act="Relu"), 2048, act="Relu")
    return n.finish(n.dense(n.global_pool(x), 1000))


def resnet50(side=224):
    """He et al. 2015, table 1, with the stride at the 3x3 window."""
    n = Net("resnet50", side)
    x = n.pool(n.conv("input", 64, 7, 2), p=1)
    for width, repeat, s in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for i in range(repeat):
            stride = s if i == 0 else 1
            y = n.conv(n.conv(n.conv(x, width), width, 3, stride), 4 * width, act=None, gain=0.3)
            x = n.add(y, x if i else n.conv(x, 4 * width, 1, stride, act=None, gain=1.0), "Relu")
    return n.finish(n.dense(n.global_pool(x), 1000))


def efficientnet_lite0(side=224):
    """Tan and Le 2019, table 1, without what the lite form drops: squeeze-excite and swish."""
    n = Net("efficientnet_lite0", side, opset=11)
    x = n.conv("input", 32, 3, 2, act="Relu6", same=True)
    for t, out, repeat, s, k in [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
                                 (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]:
        for i in range(repeat):
            x = inverted(n, x, out, k, s if i == 0 else 1, t * n.shape[x][0], "Relu6", same=True)
    return n.finish(n.dense(n.global_pool(n.conv(x, 1280, act="Relu6")), 1000))


def mnasnet(side=224):
    """Tan et al. 2018, the A1 network: squeeze-excite with a sigmoid."""
    n = Net("mnasnet_a1", side)
    x = n.conv(n.depthwise(n.conv("input", 32, 3, 2)), 16, act=None)
    for t, out, repeat, s, k, se in [(6, 24, 2, 2, 3, 0), (3, 40, 3, 2, 5, 1), (6, 80, 4, 2, 3, 0), (6, 112, 2, 1, 3, 1),
                                     (6, 160, 3, 2, 5, 1), (6, 320, 1, 1, 3, 0)]:
        for i in range(repeat):
            c = n.shape[x][0]
            x = inverted(n, x, out, k, s if i == 0 else 1, t * c, "Relu", c // 4 if se else 0, "Sigmoid")
    return n.finish(n.dense(n.global_pool(n.conv(x, 1280)), 1000))


def shufflenet_v2(side=224):
    """Ma et al. 2018, table 5, 1x."""
    n = Net("shufflenet_v2", side)

    def shuffle(x):
        c, h, w = n.shape[x]
        x = n.node("Reshape", [x, n.constant([1, 2, c // 2, h, w], np.int64)], (2, c // 2, h, w))
        x = n.node("Transpose", [x], (c // 2, 2, h, w), perm=[0, 2, 1, 3, 4])
        return n.node("Reshape", [x, n.constant([1, -1, h, w], np.int64)], (c, h, w))

    def branch(x, out, s):
        return n.conv(n.depthwise(n.conv(x, out), 3, s, None), out)

    x = n.pool(n.conv("input", 24, 3, 2), p=1)
    for out, repeat in [(116, 4), (232, 8), (464, 4)]:
        half = out // 2
        x = shuffle(n.concat(n.conv(n.depthwise(x, 3, 2, None), half), branch(x, half, 2)))
        for i in range(repeat - 1):
            if i % 2:  # as PyTorch exports chunk(), and as others do
                a, b = n.split(x, half)
            else:
                a, b = n.slice(x, 0, half), n.slice(x, half, out)
            x = shuffle(n.concat(a, branch(b, half, 1)))
    return n.finish(n.dense(n.global_pool(n.conv(x, 1024)), 1000))


def resizes(side=64):
    """Small maps made larger, in each way that is supported."""
    n = Net("resizes", side)
    x = n.conv("input", 24, 3, 2)
    for how in [dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
                dict(mode="nearest"), dict(mode="linear"),
                dict(mode="linear", coordinate_transformation_mode="align_corners"),
                dict(mode="linear", coordinate_transformation_mode="asymmetric"),
                dict(mode="linear", coordinate_transformation_mode="pytorch_half_pixel")]:
        c, h, w = n.shape[x]
        x = n.conv(x, c, 3, 2)
        x = n.node("Resize", [x, "", n.constant([1, 1, 2, 2])], (c, h, w), **how)
    x = n.node("Resize", [x, "", "", n.constant([1, 24, 45, 51], np.int64)], (24, 45, 51), mode="linear")
    return n.finish(n.dense(n.global_pool(n.conv(x, 64, 3, 2)), 1000))


def tables(side=64):
    """Heads' operators: transposed convolutions, slices of maps, arithmetic of two that are computed, functions."""
    n = Net("tables", side, opset=22)

    def larger(x, out, k, s, p, more):
        c, h, w = n.shape[x]
        weights = n.constant(n.random.normal(0, np.sqrt(2 / (c * k * k / s / s)), (c, out, k, k)))
        size = [(v - 1) * s - 2 * p + k + more for v in (h, w)]
        return n.node("ConvTranspose", [x, weights, n.constant(n.random.normal(0, 0.1, out))], (out, *size),
                      kernel_shape=[k, k], strides=[s, s], pads=[p] * 4, output_padding=[more] * 2)

    x = n.conv("input", 24, 3, 2)
    x = larger(n.conv(x, 20, 3, 2), 24, 3, 2, 1, 1)
    x = n.act(larger(x, 16, 4, 2, 1, 0), "Relu")
    x = larger(n.conv(x, 16, 3, 2), 16, 3, 1, 1, 0)
    lists = [n.constant(v, np.int64) for v in ([0, 1], [31, 32], [2, 3], [2, 2])]
    a = n.node("Slice", [x, *lists], (16, 16, 16))
    b = n.pool(x, k=2, s=2)
    x = n.node("Sub", [a, b], (16, 16, 16))
    y = n.node("Sqrt", [n.node("Abs", [x], n.shape[x])], n.shape[x])
    z = n.node("Exp", [n.node("Neg", [y], n.shape[x])], n.shape[x])
    x = n.node("Max", [n.node("Div", [x, n.node("Add", [z, n.constant([1.0])], n.shape[x])], n.shape[x]), z], n.shape[x])
    x = n.node("Mul", [n.constant(n.random.uniform(0.5, 1.5, (1, 1, 16, 16))), x], n.shape[x])
    x = n.node("Min", [x, n.constant(2.0)], n.shape[x])
    return n.finish(n.dense(n.global_pool(n.conv(x, 64, 3, 2)), 1000))


def qlinear(side=96):
    """Quantised as ONNX Runtime's quantiser writes it with QuantFormat.QOperator: bytes from end to end."""
    n = Net("qlinear", side)
    r = n.random

    def scalar(v, kind=np.float32):
        return n.constant(np.asarray(v, kind), kind)

    def quantum(scale, zero):
        return [scalar(scale), scalar(zero, np.uint8)]

    def conv(x, q, out, k=1, s=1, groups=1, wide=8.0, zero=0, each=True):
        c, h, w = n.shape[x]
        weights = r.integers(-64, 64, (out, c // groups, k, k)).astype(np.int8)
        scale = r.uniform(0.7, 1.3, out) if each else np.float32(1)
        scale = np.asarray(scale * np.sqrt(2 / (c // groups * k * k)) / 37, np.float32)
        zeros = np.zeros(out if each else (), np.int8)
        to = quantum(wide / 255, zero)
        bias = n.constant(r.integers(-300, 300, out), np.int32)
        y = n.node("QLinearConv", [x, *q, n.constant(weights, np.int8), n.constant(scale), n.constant(zeros, np.int8), *to, bias],
                   (out, n.slide(h, k, s, k // 2 * 2), n.slide(w, k, s, k // 2 * 2)), kernel_shape=[k, k],
                   strides=[s, s], pads=[k // 2] * 4, group=groups)
        return y, to

    def own(op, inputs, shape, to, **attributes):
        return n.node(op, inputs + to, shape, domain="com.microsoft", **attributes), to

    q = quantum(2 / 255, 128)
    x = n.node("QuantizeLinear", ["input", *q], n.shape["input"])
    x, q = conv(x, q, 24, 3, 2)
    x, q = conv(x, q, 24, 3, 1, groups=24)
    x, q = conv(x, q, 32, wide=10, zero=120)
    y, p = conv(x, q, 32, 3, each=False, wide=10, zero=130)
    x, q = own("QLinearAdd", [x, *q, y, *p], n.shape[x], quantum(16 / 255, 125))
    x = n.pool(x, p=1)
    y, p = conv(x, q, 20, wide=12, zero=100)
    z, o = own("QLinearSigmoid", [x, *q], n.shape[x], quantum(1 / 255, 0))
    to = quantum(16 / 255, 125)
    h, w = n.shape[x][1:]
    x, q = n.node("QLinearConcat", [*to, x, *q, y, *p, z, *o], (84, h, w), domain="com.microsoft", axis=1), to
    x, q = own("QLinearAveragePool", [x, *q], (84, h // 2, w // 2), q, kernel_shape=[2, 2], strides=[2, 2])
    x, q = own("QLinearLeakyRelu", [x, *q], n.shape[x], quantum(8 / 255, 40), alpha=0.1)
    x, q = own("QLinearGlobalAveragePool", [x, *q], (84, 1, 1), quantum(4 / 255, 60), channels_last=0)
    x = n.node("Flatten", [x], (84,), axis=1)
    weights = n.constant(r.integers(-64, 64, (84, 200)), np.int8)
    wq = [scalar(0.01), scalar(0, np.int8)]
    to = quantum(24 / 255, 128)
    x, q = n.node("QLinearMatMul", [x, *q, weights, *wq, *to], (200,)), to
    bias = n.constant(r.integers(0, 256, 200), np.uint8)
    x, q = own("QLinearAdd", [x, *q, bias, *quantum(1 / 255, 128)], (200,), quantum(24 / 255, 126))
    weights = n.constant(r.integers(-64, 64, (1000, 200)), np.int8)
    x, q = own("QGemm", [x, *q, weights, *wq, n.constant(r.integers(-900, 900, 1000), np.int32)], (1000,),
               quantum(60 / 255, 128), transB=1)
    n.tolerance = 0.05  # one quantum: where the two round sums and averages in another way
    return n.finish(n.node("DequantizeLinear", [x, *q], (1000,)))


NETS = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": lambda **k: mobilenet_v3("mobilenet_v3_small", V3_SMALL, 576, 1024, 14, **k),
    "mobilenet_v3_large": lambda **k: mobilenet_v3("mobilenet_v3_large", V3_LARGE, 960, 1280, 13, **k),
    "squeezenet": squeezenet,
    "inception_v3": inception_v3,
    "xception": xception,
    "resnet50": resnet50,
    "efficientnet_lite0": efficientnet_lite0,
    "mnasnet": mnasnet,
    "shufflenet_v2": shufflenet_v2,
    "resizes": resizes,
    "qlinear": qlinear,
    "tables": tables,
}

# Those that are also written as TFLite files, once for each list of idioms of tflite_net.py.
TFLITE = {
    "mobilenet_v3_small": [(), ("words", "dense", "pool")],
    "mobilenet_v3_large": [("words", "pool")],
    "shufflenet_v2": [(), ("slices",)],
}
