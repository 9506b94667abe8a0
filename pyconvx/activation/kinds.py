"""What an activation is, and the registry of all. Imports registry, compiled and the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._core._compiled import Compiled
from ..plugin import Bound, Plugin
from ..registry import Registry

__all__ = ["ActivationFunction", "Array", "Kernel", "activation", "activations"]

Array = NDArray[np.floating[Any]]  # float32 or float64
Kernel = tuple[str | Compiled, tuple[float, ...]]
"""A compiled activation, of the core or of the plugin, and its parameters."""


@dataclass(frozen=True, eq=False)
class ActivationFunction(Plugin):
    """A registered activation. `function(x, **params)` returns y, of the shape and dtype of x.

    `derivative(x, y, **params)` returns dy/dx; `gradient(x, y, gy, **params)` returns the gradient with
    respect to x, and is what a rowwise activation needs. Either takes those parameters that it names.

    A `rowwise` activation sees (rows, length) and may mix the elements of a row; `output_size(length)`
    tells the length of its result where that differs. A parameter that is an array broadcasts against the
    last axis of x.

    `compiled` is the function again in compiled form, `compiled_derivative` the derivative dy/dx of an elementwise one:
    a PyCapsule named by its C signature, a SciPy LowLevelCallable, a numba cfunc, a ctypes function pointer, or a dict
    of these by dtype. They fill rows, `void (const T *x, T *y, Py_ssize_t n, void *user)` with T float or double, or
    `int (...)` and 0 unless they fail (a `void` one must not), without the GIL and from several threads, and y is never
    x. `user` is the data that comes with them, or else points to the parameters, a double each, in their order. Where a
    dtype has none, or a parameter is no number, the Python functions are called.

    What `propagates_nan`, `limits` and `surrogate` declare is what `testing.check_activation` holds the activation to.

    >>> import numpy as np, pyconvx as cx
    >>> with cx.activations.temporarily("square", lambda x: x * x, derivative=lambda x, y: 2 * x):
    ...     y, pullback = cx.vjp(cx.activate, np.array([1.0, 3.0]), "square")
    ...     pullback(np.ones(2))
    (array([2., 6.]),)
    """

    kind: ClassVar[str] = "activation"
    arguments: ClassVar[tuple[str, ...]] = ("x",)

    derivative: Callable[..., Any] | None = None
    gradient: Callable[..., Any] | None = None
    rowwise: bool = False
    output_size: Callable[[int], int] | None = None
    propagates_nan: bool = True
    """Whether a NaN makes the result NaN, in a row at least one element of it."""
    limits: bool = False
    """Whether an infinity gives the limit where there is one; otherwise it may give NaN."""
    surrogate: bool = False
    """Whether the derivative is meant to be another than that of the function, as of a step that is to be trained."""
    compiled: Any = None
    compiled_derivative: Any = None
    kernel: str | Compiled | None = None
    """What computes the same from parameters that are numbers: a name in the core, for built-in ones, or what was given
    in compiled form."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.derivative is not None:
            if self.rowwise:
                raise TypeError(f"rowwise activation {self.name!r} takes gradient=, derivative= is elementwise")
            self._check_companion("derivative", self.derivative, ("x", "y"))
        if self.gradient is not None:
            self._check_companion("gradient", self.gradient, ("x", "y", "gy"))
        if self.output_size is not None and not self.rowwise:
            raise TypeError(f"activation {self.name!r} takes output_size= only with rowwise=True")
        if self.compiled is not None or self.compiled_derivative is not None:
            if self.kernel is not None:
                raise TypeError(f"activation {self.name!r} takes kernel= or compiled=, not both")
            if self.output_size is not None:
                raise TypeError(f"activation {self.name!r} takes output_size= or compiled=, not both")
            if self.compiled_derivative is not None and self.derivative is None and not self.rowwise:
                raise TypeError(f"activation {self.name!r} takes compiled_derivative= with derivative=, its definition")
            if self.rowwise and self.compiled_derivative is not None:
                raise TypeError(
                    f"rowwise activation {self.name!r} takes gradient=, compiled_derivative= is elementwise"
                )
            from ..compiled import (  # only plugins need it, and an import should cost little
                ACTIVATION_FORMS,
                compiled_of,
            )

            forward = ("compiled", self.compiled, ACTIVATION_FORMS)
            backward = ("compiled_derivative", self.compiled_derivative, ACTIVATION_FORMS)
            kernel = compiled_of(str(self), forward, backward, tuple(self.defaults), self.rowwise)
            object.__setattr__(self, "kernel", kernel)

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self.name,)


def _named(name: str) -> ActivationFunction:
    return activations[name]


activations: Registry[ActivationFunction] = Registry(ActivationFunction.kind, ActivationFunction, "pyconvx.activations")
"""Every activation by name."""


def activation(
    name: str | ActivationFunction | Bound[ActivationFunction], /, **params: Any
) -> Bound[ActivationFunction]:
    """Return an activation with its parameters set, for use as `activation`.

    Raises UnknownNameError for an unknown name, TypeError for a parameter that the activation does not have.

    >>> import pyconvx as cx
    >>> cx.activation("leaky_relu", alpha=0.1)
    leaky_relu(alpha=0.1)
    """
    return activations.resolve(name, params)
