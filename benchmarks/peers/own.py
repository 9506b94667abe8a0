"""pyconvx itself, in the ways it is called. Imports pyconvx and tasks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import pyconvx as cx

from ..tasks import Array, Conv, Pool, Task
from . import Peer, Run

WAYS = PREPARED, ARRAYS, FIRST, MAX = "pyconvx", "pyconvx arrays", "pyconvx channels_first", "pyconvx max"
VERSION = f"{cx.__version__} ({cx._core.isa()})"


def conv_options(task: Conv) -> dict[str, Any]:
    """The options of a convolution that differ from the defaults."""
    options: dict[str, Any] = {
        name: getattr(task, name)
        for name, default in (("stride", 1), ("dilation", 1), ("groups", 1), ("padding_mode", "zeros"))
        if getattr(task, name) != default
    }
    if any(task.pads):
        options["padding"] = task.pads[0] if len(set(task.pads)) == 1 else tuple((p, p) for p in task.pads)
    if task.activation:
        options["activation"] = task.activation
    return options


def pool_options(task: Pool) -> dict[str, Any]:
    """The options of a pooling that differ from the defaults."""
    options: dict[str, Any] = {"stride": task.stride}
    if task.padding:
        options["padding"] = task.padding
    if task.indices:
        options["return_indices"] = True
    return options


def first(array: Array) -> Array:
    """Channels last to channels first, as an array of its own."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def last(array: Array) -> Array:
    """Channels first to channels last, as a view."""
    return np.moveaxis(array, 1, -1)


def _tuple(result: Any) -> tuple[Array, ...]:
    return result if isinstance(result, tuple) else (result,)


class Own(Peer):
    reuse = False
    """Whether results go into an array made once (`out=`)."""

    def set_threads(self, threads: int) -> None:
        super().set_threads(threads)
        cx.set_num_threads(threads)

    def prepare(self, task: Task) -> Run | None:
        if isinstance(task, Conv):
            return None if self.name == MAX else self._conv(task)
        if isinstance(task, Pool):
            return self._pool(task)
        call = partial(cx.activate, task.array, task.name, **self._out(task.y, task.dtype))
        return Run(call, _tuple) if self.name == PREPARED else None

    def _out(self, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
        return {"out": np.empty(shape, dtype)} if self.reuse else {}

    def _conv(self, task: Conv) -> Run:
        x, filters, bias, gy = task.arrays
        options = conv_options(task)
        shape = task.y
        if self.name == FIRST:
            x, filters, gy = first(x), first(filters), first(gy) if task.backward else gy
            options["layout"] = "channels_first"
            shape = (shape[0], shape[-1], *shape[1:-1])
        layout = options.get("layout", "channels_last")
        taps: Any = filters if self.name == ARRAYS else cx.prepare(filters, layout=layout)
        arguments = (x, taps) if bias is None else (x, taps, bias)
        function = getattr(cx, f"conv{task.rank}d")
        if task.backward:
            _, pullback = cx.vjp(function, *arguments, **options)
            call = partial(pullback, gy)
        else:
            call = partial(function, *arguments, **options, **self._out(shape, task.dtype))
        return Run(call, (lambda y: tuple(map(last, _tuple(y)))) if self.name == FIRST else _tuple)

    def _pool(self, task: Pool) -> Run | None:
        if self.name not in (PREPARED, MAX) or (self.name == MAX and task.kind in ("max", "avg")):
            return None
        kind = "max" if self.name == MAX else task.kind
        out: dict[str, Any] = {} if task.indices else self._out(task.y, task.dtype)
        call = partial(cx.pool2d, task.array, task.size, kind, **pool_options(task), **out)
        # the stand-in computes something else: nothing to compare with
        return Run(call, _tuple if self.name == PREPARED else lambda y: ())


class Reference(Peer):
    """The definition in NumPy, never timed: what results are compared with where no other library does the task."""

    def prepare(self, task: Task) -> Run | None:
        from pyconvx.testing import reference

        call: Any
        if isinstance(task, Conv):
            x, filters, bias, gy = task.arrays
            if task.backward:
                call = partial(reference.conv_vjp, x, filters, bias, gy=gy, **conv_options(task))
            else:
                call = partial(reference.conv, x, filters, bias, **conv_options(task))
        elif isinstance(task, Pool):
            call = partial(reference.pool, task.array, task.size, task.kind, rank=2, **pool_options(task))
        else:
            call = partial(reference.activate, task.array, task.name)
        return Run(call, _tuple)


PEERS = tuple(map(Own, WAYS))
REFERENCE = Reference("reference")
