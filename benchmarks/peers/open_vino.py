"""OpenVINO on the CPU in float32: a compiled model per task, its input bound once, its output reused.

Imports openvino, and onnx to describe the task.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import openvino as ov

from ..tasks import Activate, Array, Task
from . import Peer, Run
from .onnx_graphs import model
from .own import last

VERSION = ov.__version__
CORE = ov.Core()


class OpenVino(Peer):
    def prepare(self, task: Task) -> Run | None:
        built = model(task)
        if built is None:
            return None
        serialized, x, _ = built
        options = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        compiled = CORE.compile_model(CORE.read_model(serialized), "CPU", options)
        request = compiled.create_infer_request()
        request.set_input_tensor(ov.Tensor(x, shared_memory=True))

        def read(_: Any) -> tuple[Array, ...]:
            y: Array = np.array(request.get_output_tensor(0).data)
            return (y if isinstance(task, Activate) else last(y),)

        # share_outputs: the result is not copied
        return Run(partial(request.infer, share_outputs=True), read)


PEERS = (OpenVino("openvino"),)
