"""ONNX Runtime: a session per task, with its weights packed, and input and output bound once. Imports onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort

from ..tasks import Activate, Array, Task
from . import Peer, Run
from .onnx_graphs import model
from .own import last

VERSION = ort.__version__


class OnnxRuntime(Peer):
    def prepare(self, task: Task) -> Run | None:
        built = model(task)
        if built is None:
            return None
        serialized, x, shape = built
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not self.alone:  # its idle threads would otherwise spin on the cores of whoever is timed next
            options.add_session_config_entry("session.force_spinning_stop", "1")
        session = ort.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        given = ort.OrtValue.ortvalue_from_numpy(x)
        binding.bind_ortvalue_input("x", given)
        result = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
        binding.bind_ortvalue_output("y", result)
        for output in session.get_outputs()[1:]:
            indices = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.int64)
            binding.bind_ortvalue_output(output.name, indices)

        def call(_keep: Any = (x, given)) -> None:  # a binding does not own what it reads
            session.run_with_iobinding(binding)

        def read(_: Any) -> tuple[Array, ...]:
            y: Array = result.numpy()
            return (y if isinstance(task, Activate) else last(y),)

        return Run(call, read)


PEERS = (OnnxRuntime("onnxruntime"),)
