"""OpenVINO on the CPU in float32: a compiled model per task, its input bound once, its output reused. In two ways: with
channels-first arrays, as an ONNX model has them, and with channels-last ones, which its preprocessing step declares.

Imports openvino, and onnx to describe the task.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor

from ..tasks import Activate, Array, Task
from . import Peer, Run
from .onnx_graphs import model
from .own import last

VERSION = ov.__version__
CORE = ov.Core()


def _channels_last(network: Any, rank: int) -> Any:
    """The model with input and output channels last."""
    spatial = "DHW"[-rank:]
    steps = PrePostProcessor(network)
    for end in (steps.input(), steps.output(0)):
        end.tensor().set_layout(ov.Layout(f"N{spatial}C"))
        end.model().set_layout(ov.Layout(f"NC{spatial}"))
    return steps.build()


class OpenVino(Peer):
    def __init__(self, name: str, channels_last: bool) -> None:
        super().__init__(name)
        self.channels_last = channels_last

    def prepare(self, task: Task) -> Run | None:
        built = model(task)
        if built is None or (self.channels_last and isinstance(task, Activate)):
            return None
        serialized, x, _ = built
        network = CORE.read_model(serialized)
        if self.channels_last:
            network, x = _channels_last(network, len(task.x) - 2), np.ascontiguousarray(last(x))
        options = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        compiled = CORE.compile_model(network, "CPU", options)
        request = compiled.create_infer_request()
        tensor = ov.Tensor(x, shared_memory=True)
        request.set_input_tensor(tensor)

        def call(_keep: Any = (serialized, x, tensor)) -> None:  # a request does not own what it reads
            request.infer(share_outputs=True)  # the result is not copied

        def read(_: Any) -> tuple[Array, ...]:
            y: Array = np.array(request.get_output_tensor(0).data)
            return (y if self.channels_last or isinstance(task, Activate) else last(y),)

        return Run(call, read)


PEERS = (OpenVino("openvino", False), OpenVino("openvino channels_last", True))
