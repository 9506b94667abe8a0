"""PyTorch in eager mode, with contiguous and with channels_last tensors. Imports torch and tasks."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from ..tasks import Array, Conv, Pool, Task
from . import Peer, Run
from .own import first, last

VERSION = torch.__version__
MEMORY = {2: torch.channels_last, 3: torch.channels_last_3d}

ACTIVATIONS: dict[str, Any] = {
    "relu": torch.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": torch.selu,
    "celu": torch.celu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "sigmoid": torch.sigmoid,
    "log_sigmoid": F.logsigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "hard_swish": F.hardswish,
    "hard_tanh": F.hardtanh,
    "tanh": torch.tanh,
    "tanh_shrink": F.tanhshrink,
    "soft_shrink": F.softshrink,
    "hard_shrink": F.hardshrink,
    "threshold": partial(F.threshold, threshold=0.0, value=0.0),
    "softmax": partial(torch.softmax, dim=-1),
    "log_softmax": partial(torch.log_softmax, dim=-1),
    "glu": F.glu,
}


def _channels_last(result: Any) -> tuple[Array, ...]:
    results = result if isinstance(result, tuple) else (result,)
    return tuple(last(y.detach().numpy()) for y in results)


class Torch(Peer):
    def __init__(self, name: str, channels_last: bool) -> None:
        super().__init__(name)
        self.channels_last = channels_last

    def set_threads(self, threads: int) -> None:
        super().set_threads(threads)
        torch.set_num_threads(threads)

    def _tensor(self, array: Array) -> Any:
        tensor = torch.from_numpy(first(array))
        return tensor.contiguous(memory_format=MEMORY[array.ndim - 2]) if self.channels_last else tensor

    def prepare(self, task: Task) -> Run | None:
        torch.set_grad_enabled(False)
        if isinstance(task, Conv):
            return None if self.channels_last and task.rank not in MEMORY else self._conv(task)
        if isinstance(task, Pool):
            return self._pool(task)
        if self.channels_last or task.name not in ACTIVATIONS:
            return None
        call = partial(ACTIVATIONS[task.name], torch.from_numpy(task.array))
        return Run(call, lambda y: (y.numpy(),))

    def _conv(self, task: Conv) -> Run:
        x, filters, bias, gy = task.arrays
        tensor, weight = self._tensor(x), self._tensor(filters)
        offset = None if bias is None else torch.from_numpy(bias)
        function = getattr(torch, f"conv{task.rank}d")
        stride, dilation = task.per_axis(task.stride), task.per_axis(task.dilation)
        pads = task.pads if task.padding_mode == "zeros" else (0,) * task.rank
        call: Any = partial(function, tensor, weight, offset, stride, pads, dilation, task.groups)
        if task.backward:
            tensor.requires_grad_()
            weight.requires_grad_()
            with torch.enable_grad():
                y = call()
            call = partial(torch.autograd.grad, y, (tensor, weight), self._tensor(gy), retain_graph=True)
        elif task.padding_mode != "zeros":
            amounts = [p for pad in reversed(task.pads) for p in (pad, pad)]

            def call() -> Any:
                padded = F.pad(tensor, amounts, mode=task.padding_mode)
                return function(padded, weight, offset, stride, 0, dilation, task.groups)

        if task.activation:
            linear = call

            def call() -> Any:
                return torch.relu_(linear())

        return Run(call, _channels_last)

    def _pool(self, task: Pool) -> Run | None:
        x = self._tensor(task.array)
        call: Any
        if task.kind == "max" and task.indices:
            call = partial(F.max_pool2d, x, task.size, task.stride, task.padding, return_indices=True)
        elif task.kind == "max":
            call = partial(torch.max_pool2d, x, task.size, task.stride, task.padding)
        elif task.kind == "avg":
            call = partial(F.avg_pool2d, x, task.size, task.stride, task.padding, count_include_pad=False)
        else:
            return None
        return Run(call, _channels_last)


PEERS = (Torch("torch", False), Torch("torch channels_last", True))
