"""Tasks as ONNX models, for the libraries that run these. Imports onnx and tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..tasks import Activate, Array, Conv, Pool, Task
from .own import first

# name -> operator and attributes that make it what pyconvx has as defaults
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "celu": ("Celu", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "mish": ("Mish", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_swish": ("HardSwish", {}),
    "tanh": ("Tanh", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
}


def _conv(task: Conv) -> tuple[list[Any], dict[str, Array]]:
    _, filters, bias, _ = task.arrays
    weights = {"filters": first(filters)}
    nodes, source, pads = [], "x", (*task.pads, *task.pads)
    if task.padding_mode != "zeros":
        weights["pads"] = np.array([0, 0, *task.pads] * 2, np.int64)
        nodes.append(helper.make_node("Pad", ["x", "pads"], ["padded"], mode=task.padding_mode))
        source, pads = "padded", (0,) * len(pads)
    inputs = [source, "filters"]
    if bias is not None:
        weights["bias"] = bias
        inputs.append("bias")
    nodes.append(
        helper.make_node(
            "Conv",
            inputs,
            ["z" if task.activation else "y"],
            kernel_shape=task.kernel,
            strides=task.per_axis(task.stride),
            dilations=task.per_axis(task.dilation),
            pads=pads,
            group=task.groups,
        )
    )
    if task.activation:
        nodes.append(helper.make_node("Relu", ["z"], ["y"]))
    return nodes, weights


def _pool(task: Pool) -> list[Any]:
    window = {"kernel_shape": [task.size] * 2, "strides": [task.stride] * 2, "pads": [task.padding] * 4}
    operator = {"max": "MaxPool", "avg": "AveragePool"}[task.kind]
    return [helper.make_node(operator, ["x"], ["y", "indices"] if task.indices else ["y"], **window)]


def model(task: Task) -> tuple[bytes, Array, tuple[int, ...]] | None:
    """The model, its input and the shape of its result, channels first; None for what ONNX has no operator for."""
    if task.dtype != "float32":
        return None
    weights: dict[str, Array] = {}
    if isinstance(task, Activate):
        if task.name not in ACTIVATIONS:
            return None
        operator, attributes = ACTIVATIONS[task.name]
        nodes, x, shape = [helper.make_node(operator, ["x"], ["y"], **attributes)], task.array, task.y
    else:
        shape = (task.y[0], task.y[-1], *task.y[1:-1])
        if isinstance(task, Pool):
            if task.kind not in ("max", "avg") or task.nan:  # both libraries lose NaNs: not the same task
                return None
            nodes, x = _pool(task), first(task.array)
        else:
            if task.backward:
                return None
            nodes, weights = _conv(task)
            x = first(task.arrays[0])
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    if "indices" in nodes[-1].output:
        outputs.append(helper.make_tensor_value_info("indices", TensorProto.INT64, shape))
    graph = helper.make_graph(
        nodes,
        "task",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(built)
    return built.SerializeToString(), x, shape
