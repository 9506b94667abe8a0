"""Every operation with arrays to call it on, the forms an array may take in memory, and what is compared."""

import numpy as np
import pytest

import pyconvx as cx

RNG = np.random.default_rng(20)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def flatten(result):
    """The arrays in a result, whatever tuples they are in."""
    if isinstance(result, (tuple, list)):
        return [array for part in result for array in flatten(part)]
    return [result]


def forward_and_back(f, count, **options):
    """An operation with its pullback: (arrays..., gy) -> (y, gradients...). `count` arrays come before gy."""

    def call(*arrays):
        result, pullback = cx.vjp(f, *arrays[:count], **options)
        return result, pullback(arrays[count])

    return call


X1, X2, X3 = normal(2, 12, 4), normal(2, 9, 8, 4), normal(1, 5, 6, 4, 2)
K1, K2, K3 = normal(6, 3, 4), normal(6, 3, 3, 2), normal(2, 2, 3, 2, 2)
BIAS = normal(6)
POOLED, WHERE = cx.pool2d(X2, 2, return_indices=True)
# name: (call, arrays). Every array is an argument of the call and is given in every form below.
OPERATIONS = {
    "conv1d": (lambda x, k, b: cx.conv1d(x, k, b, padding="causal", dilation=2), (X1, K1, BIAS)),
    "conv2d": (
        lambda x, k, b: cx.conv2d(x, k, b, groups=2, padding=2, padding_mode="reflect"),
        (X2, K2, BIAS),
    ),
    "conv2d plain": (lambda x, k: cx.conv2d(x, k, groups=2, algorithm="plain"), (X2, K2)),
    "conv2d gelu": (lambda x, k: cx.conv2d(x, k, groups=2, stride=2, activation="gelu"), (X2, K2)),
    "conv2d of one": (lambda x, k: cx.conv2d(x, k, groups=2, padding="same"), (X2[0], K2)),
    "conv2d first": (
        lambda x, k: cx.conv2d(x, k, layout="channels_first"),
        (normal(2, 3, 9, 8), normal(5, 3, 3, 3)),
    ),
    "conv2d depthwise": (lambda x, k: cx.conv2d(x, k, groups=4), (X2, normal(4, 3, 3, 1))),
    "conv2d pointwise": (lambda x, k: cx.conv2d(x, k), (X2, normal(5, 1, 1, 4))),
    "conv3d": (lambda x, k: cx.conv3d(x, k, padding="same"), (X3, K3)),
    "conv2d prepared": (lambda x, k: cx.conv2d(x, cx.prepare(k), groups=2), (X2, K2)),
    "conv_transpose1d": (lambda x, k: cx.conv_transpose1d(x, k, stride=2), (normal(2, 7, 6), K1)),
    "conv_transpose2d": (
        lambda x, k, b: cx.conv_transpose2d(x, k, b, groups=2, stride=2, padding=1, output_padding=1),
        (normal(2, 5, 4, 6), K2, normal(4)),
    ),
    "conv_transpose3d": (lambda x, k: cx.conv_transpose3d(x, k), (X3, K3)),
    "unpool2d": (lambda y, i: cx.unpool2d(y, i, (9, 8)), (POOLED, WHERE)),
    "pad reflect": (lambda x: cx.pad(x, ((0, 0), (3, 9), (1, 0), (0, 0)), "reflect"), (X2,)),
    "pad odd": (lambda x: cx.pad(x, ((0, 0), (3, 9), (-1, 0), (0, 0)), "odd_reflect"), (X2,)),
    "global_pool": (lambda x: cx.global_pool(x), (X2,)),
    "global_pool first": (lambda x: cx.global_pool(x, "max", layout="channels_first", keepdims=True), (X2,)),
    "adaptive_pool1d": (lambda x: cx.adaptive_pool1d(x, 5, "max"), (X1,)),
    "adaptive_pool3d": (lambda x: cx.adaptive_pool3d(x, (2, 3, 4), "median"), (X3,)),
    "pool1d": (lambda x: cx.pool1d(x, 3, "lp", p=3, ceil_mode=True, stride=2), (X1,)),
    "pool3d": (lambda x: cx.pool3d(x, 2, "avg", padding=1), (X3,)),
    "pool2d indices": (lambda x: cx.pool2d(x, 3, padding=1, return_indices=True), (X2,)),
    "pool2d wrapped": (lambda x: cx.pool2d(x, 3, "min", padding=1, padding_mode="wrap"), (X2,)),
    "vjp conv1d": (
        forward_and_back(cx.conv1d, 2, padding="same", padding_mode="wrap"),
        (X1, K1, normal(2, 12, 6)),
    ),
    "vjp conv2d": (
        forward_and_back(cx.conv2d, 3, groups=2, padding=1, activation="silu"),
        (X2, K2, BIAS, normal(2, 9, 8, 6)),
    ),
    "vjp conv3d": (forward_and_back(cx.conv3d, 2, padding="same"), (X3, K3, normal(1, 5, 6, 4, 2))),
    "vjp conv_transpose2d": (
        forward_and_back(cx.conv_transpose2d, 3, groups=2, stride=2),
        (normal(2, 5, 4, 6), K2, normal(4), normal(2, 11, 9, 4)),
    ),
    "vjp pad": (lambda x, gy: cx.vjp(cx.pad, x, 2, "symmetric")[1](gy), (X3[0, 0], normal(10, 8, 6))),
    "vjp unpool2d": (
        lambda y, i, gy: cx.vjp(cx.unpool2d, y, i, (9, 8))[1](gy),
        (POOLED, WHERE, normal(2, 9, 8, 4)),
    ),
}
for kind in cx.poolings:
    OPERATIONS[f"pool2d {kind}"] = (lambda x, kind=kind: cx.pool2d(x, 3, kind, stride=2, padding=1), (X2,))
    OPERATIONS[f"adaptive_pool2d {kind}"] = (lambda x, kind=kind: cx.adaptive_pool2d(x, (4, 3), kind), (X2,))
    OPERATIONS[f"vjp pool2d {kind}"] = (
        lambda x, gy, kind=kind: cx.vjp(cx.pool2d, x, 2, kind, padding=1)[1](gy),
        (X2, normal(2, 5, 5, 4)),
    )
    OPERATIONS[f"vjp global_pool {kind}"] = (
        lambda x, gy, kind=kind: cx.vjp(cx.global_pool, x, kind)[1](gy),
        (X2, normal(2, 4)),
    )
for name in cx.activations:
    OPERATIONS[f"activate {name}"] = (lambda x, name=name: cx.activate(x, name), (X2,))
    OPERATIONS[f"vjp activate {name}"] = (
        lambda x, gy, name=name: cx.vjp(cx.activate, x, name)[1](gy),
        (X2, normal(2, 9, 8, 2 if name == "glu" else 4)),
    )
every_operation = pytest.mark.parametrize("name", OPERATIONS)


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    result = raw[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def every_second(array):
    """The same values with a gap after each element along each axis."""
    wide = np.full([2 * n for n in array.shape], 77, array.dtype)
    view = wide[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def backwards(array):
    flip = (slice(None, None, -1),) * array.ndim
    return array[flip].copy()[flip]


def transposed(array):
    """The axes lie in memory in another order, neither C nor Fortran."""
    order = np.roll(np.arange(array.ndim), 1)
    return array.transpose(order).copy().transpose(np.argsort(order))


def swapped(array):
    return array.astype(array.dtype.newbyteorder())


def all_of_it(array):
    return unaligned(every_second(swapped(backwards(array))))


FORMS = {
    "fortran": np.asfortranarray,
    "backwards": backwards,
    "every second": every_second,
    "transposed": transposed,
    "swapped": swapped,
    "unaligned": unaligned,
    "read-only": read_only,
    "a record's field": lambda array: np.rec.fromarrays([array, array])["f1"],
    "swapped, backwards, unaligned": all_of_it,
}


def bits(result):
    return [(array.dtype, array.shape, array.tobytes()) for array in flatten(result)]


def assert_fresh(result, arrays):
    """New plain arrays, contiguous, writable, native, that share memory with nothing that was given."""
    for array in flatten(result):
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.aligned
        assert array.dtype.isnative
        assert not any(np.shares_memory(array, given) for given in arrays)
