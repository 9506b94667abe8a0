"""Functions compiled elsewhere, as plugins bring them: who they come from, and whether their signature will do.

Imports the core. What is accepted: a PyCapsule named by the C signature of the function, a SciPy LowLevelCallable, a
numba cfunc, a pointer to a function of ctypes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ._core import _compiled
from ._core._compiled import MOST_PARAMETERS, Compiled

__all__ = [
    "ACTIVATION_FORMS",
    "GRADIENT_FORMS",
    "POOLING_FORMS",
    "Compiled",
    "Foreign",
    "Form",
    "cannot_fail",
    "compiled_of",
    "foreign_of",
]

SIZES = {"float32": 4, "float64": 8}


Foreign = tuple[int, int, int]
"""A function: the code of its form, its address, and that of data of its own, or 0."""


class Form(NamedTuple):
    """A signature that is accepted, with what the core calls it and the dtypes that it serves."""

    signature: str
    code: int
    dtypes: tuple[str, ...]


def _forms(signature: str, code: int) -> tuple[Form, ...]:
    """The same form for both types of elements; T stands for them."""
    types = {"float32": "float", "float64": "double"}
    return tuple(Form(signature.replace("T *", f"{name} *"), code, (dtype,)) for dtype, name in types.items())


ACTIVATION_FORMS = (
    *_forms("void (const T *x, T *y, Py_ssize_t n, void *user)", _compiled.ROW),
    *_forms("int (const T *x, T *y, Py_ssize_t n, void *user)", _compiled.CHECKED_ROW),
)
POOLING_FORMS = (
    *_forms("int (const T *const *rows, Py_ssize_t taps, T *y, Py_ssize_t n, void *user)", _compiled.ROWS),
    Form("int (double *window, npy_intp taps, double *y, void *user)", _compiled.WINDOW, tuple(SIZES)),
)
GRADIENT_FORMS = _forms(
    "int (const T *const *rows, Py_ssize_t taps, const T *y, T *const *slopes, Py_ssize_t n, void *user)",
    _compiled.SLOPES,
)

# What one type is called in C, Cython, NumPy and numba; where the size decides, this machine's.
_SIZED = {4: "int", 8: "intp"}
_TYPES = {
    **dict.fromkeys(("float", "npy_float", "npy_float32", "float32_t"), "float"),
    **dict.fromkeys(("double", "npy_double", "npy_float64", "float64_t"), "double"),
    **dict.fromkeys(("int", "int32_t", "npy_int32", "npy_int", "signed int"), "int"),
    **dict.fromkeys(("Py_ssize_t", "ssize_t", "ptrdiff_t", "intptr_t", "npy_intp", "intp_t"), "intp"),
    **dict.fromkeys(("int64_t", "npy_int64", "long long", "npy_longlong"), "intp"),
    **dict.fromkeys(("long", "long int", "npy_long"), _SIZED[np.dtype("l").itemsize]),
    "void": "void",
}
_TYPE = "|".join(sorted(map(re.escape, _TYPES), key=len, reverse=True))
_WORDS = r"(?!(?:unsigned|signed|long|short|int|char|float|double|void)\b)"  # of types, which are no names


def _shape(signature: str) -> tuple[str, ...] | None:
    """The types of the result and the arguments, without names and const; None for what is no such signature."""
    signature = re.sub(r"__pyx_t_\w*?(float(?:32|64)_t|int(?:p|32|64)_t)\b", r"\1", signature)  # Cython's names of them
    signature = re.sub(r"\(\s*\*\s*\w*\s*\)", " ", signature)  # a pointer to a function is the function
    match = re.fullmatch(r"\s*([^()]*?)\s*\(([^()]*)\)[\w\s?*-]*", signature)
    if match is None:
        return None
    types = []
    for declared in (match[1], *match[2].split(",")):
        bare = re.sub(r"\b(?:const|restrict|__restrict|__restrict__)\b", " ", declared).strip()
        parts = re.fullmatch(rf"({_TYPE})\b((?:\s*\*)*)\s*{_WORDS}\w*\s*((?:\[\])?)", bare)
        if parts is None:
            return None
        types.append(_TYPES[parts[1]] + re.sub(r"\s", "", parts[2]) + ("*" if parts[3] else ""))
    if types[-1] == "double*" and len(types) > 2:
        types[-1] = "void*"  # user, as a function declares it that reads parameters there
    return tuple(types)


def _named(c_type: Any) -> str:
    """The name in C of a type of ctypes."""
    import ctypes

    if c_type is None:
        return "void"
    if c_type is ctypes.c_void_p:
        return "void *"
    if hasattr(c_type, "contents"):
        return f"{_named(c_type._type_)} *"
    names = {ctypes.c_float: "float", ctypes.c_double: "double", ctypes.c_int: "int", ctypes.c_ssize_t: "Py_ssize_t"}
    return names.get(c_type) or str(getattr(c_type, "__name__", c_type))


def _unpacked(what: str, given: Any) -> tuple[str, int, int]:
    """The signature of a function, its address, and that of its own data, or 0."""
    kind = type(given).__name__
    if kind == "LowLevelCallable" and isinstance(given, tuple):
        given = tuple.__getitem__(given, 0)  # a capsule; the class forbids indices
        kind = type(given).__name__
    if kind == "PyCapsule":
        name, address, user = _compiled.unpacked(given)
        return name or "(a capsule without a name)", address, user
    if hasattr(given, "ctypes") and hasattr(given, "address"):  # a cfunc of numba
        given = given.ctypes
    import ctypes

    if not isinstance(given, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        raise TypeError(
            f"{what} must be a PyCapsule named by its C signature, a scipy.LowLevelCallable, a numba cfunc, a ctypes "
            f"function pointer, or a dict of these by dtype, got {given!r}"
        )
    address = ctypes.cast(given, ctypes.c_void_p).value or 0
    if not address:
        raise TypeError(f"{what} must be a function, got the NULL pointer {given!r}")
    if given._flags_ & 4:  # FUNCFLAG_PYTHONAPI: it would be called without the GIL that it counts on
        raise TypeError(
            f"{what} must be a function that needs no GIL, as CFUNCTYPE makes and CDLL loads, got {given!r}"
        )
    if given.argtypes is None:
        raise TypeError(f"{what} must have argtypes and restype set, or its signature is not known, got {given!r}")
    return f"{_named(given.restype)} ({', '.join(map(_named, given.argtypes))})", address, 0


class _Functions(Compiled):
    """Compiled functions, of which some tell of no failure."""

    certain: frozenset[int] = frozenset()
    """Sizes of elements whose function cannot fail: it returns nothing, and it is none of Python's, which may raise."""
    functions: tuple[Mapping[int, Foreign], Mapping[int, Foreign]]
    """The functions and their gradients, by size of element."""


def cannot_fail(compiled: Any, dtype: np.dtype[Any]) -> bool:
    """Whether the function for elements of that dtype, not its gradient, fills what it is given whatever happens."""
    return isinstance(compiled, _Functions) and dtype.itemsize in compiled.certain


def foreign_of(compiled: Any, dtype: np.dtype[Any], backward: bool = False) -> Foreign | None:
    """The function for elements of that dtype, or of its gradient, if a plugin brings one."""
    return compiled.functions[backward].get(dtype.itemsize) if isinstance(compiled, _Functions) else None


def _certain(given: Any, functions: Mapping[int, Foreign]) -> frozenset[int]:
    """The sizes of elements for which a function was given by its address alone: a capsule may be Cython's."""
    each = {SIZES[np.dtype(key).name]: one for key, one in given.items()} if isinstance(given, Mapping) else {}
    return frozenset(
        size
        for size, (form, _, _) in functions.items()
        if form == _compiled.ROW and type(each.get(size, given)).__name__ not in ("PyCapsule", "LowLevelCallable")
    )


def _functions(what: str, given: Any, forms: tuple[Form, ...]) -> dict[int, Foreign]:
    """For each size of element: form, address and address of data."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        found: dict[int, Foreign] = {}
        for key, function in given.items():
            try:
                dtype = np.dtype(key).name if key is not None and np.dtype(key).isnative else repr(key)
            except TypeError:
                dtype = repr(key)
            if dtype not in SIZES or SIZES[dtype] in found:
                raise ValueError(f"{what} must have the keys {' and '.join(map(repr, SIZES))}, once, got {key!r}")
            suiting = tuple(form for form in forms if dtype in form.dtypes)
            found[SIZES[dtype]] = _function(f"{what} for {dtype}", function, suiting)[SIZES[dtype]]
        if not found:
            raise ValueError(f"{what} must have the key 'float32' or 'float64', got {given!r}")
        return found
    return _function(what, given, forms)


def _function(what: str, given: Any, forms: tuple[Form, ...]) -> dict[int, Foreign]:
    """The same of one function, for each size of element that its form serves."""
    signature, address, user = _unpacked(what, given)
    shape = _shape(signature)
    for form in forms:
        if shape is not None and shape == _shape(form.signature):
            return {SIZES[dtype]: (form.code, address, user) for dtype in form.dtypes}
    accepted = "".join(f"\n  {form.signature}" for form in forms)
    raise ValueError(f"{what} has the signature {signature!r}, accepted are (const or not):{accepted}")


def compiled_of(
    label: str,
    forward: tuple[str, Any, tuple[Form, ...]],
    backward: tuple[str, Any, tuple[Form, ...]],
    parameters: tuple[str, ...],
    rowwise: bool = False,
) -> Compiled:
    """What a plugin brings in compiled form, each as (name of the field, what was given, forms).

    label: what messages call the plugin; parameters: its parameters.

    Raises TypeError for what is no compiled function, ValueError for one of another signature, naming those accepted,
    or one with data of its own whose plugin has parameters.
    """
    there, back = (_functions(f"{what} of {label}", given, forms) for what, given, forms in (forward, backward))
    owning = any(user for found in (there, back) for _, _, user in found.values())
    if parameters and owning:
        raise ValueError(
            f"{label} has parameters ({', '.join(parameters)}), which its compiled functions get in place of data of "
            f"their own: let them have one or the other"
        )
    if len(parameters) > MOST_PARAMETERS:
        raise ValueError(
            f"{label} has {len(parameters)} parameters, and compiled functions get {MOST_PARAMETERS} at most"
        )
    keep = [list(each.values()) if isinstance(each, Mapping) else [each] for each in (forward[1], backward[1])]
    checked = any(form == _compiled.CHECKED_ROW for found in (there, back) for form, _, _ in found.values())
    if checked and any(type(each).__name__ == "_FuncPtr" for some in keep for each in some):  # of a CDLL
        label += ": if it returns nothing, set restype = None, for ctypes takes int for granted"
    made = _Functions(label, there, back, rowwise, keep)
    made.certain, made.functions = _certain(forward[1], there), (there, back)
    return made
