"""What convolution and transposed convolution are both held to, and their options as the reference takes them."""

import numpy as np

from pyconvx.testing.bounds import absolute_mode, reference_mode


def referring(case):
    """The options as the reference takes them, and for the sum of absolute terms."""
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"])}
    return options, {**options, "padding_mode": absolute_mode(options["padding_mode"])}


def check_layouts_agree(function, case):
    """Moving the channels of x and filters moves those of the result, and changes nothing else."""
    x, filters, bias = case.plain
    first = case.options["layout"] == "channels_first"
    batched = int(x.ndim == case.rank + 2)

    def move(a, axis):
        return np.moveaxis(a, axis, -1) if first else np.moveaxis(a, -1, axis)

    layout = "channels_last" if first else "channels_first"
    other = function(move(x, batched), move(filters, 1), bias, **{**case.options, "layout": layout})
    np.testing.assert_array_equal(move(function(x, filters, bias, **case.options), batched), other)


def check_a_sample_is_a_batch_of_one(function, case):
    """The axis N may be absent."""
    x, filters, bias = case.plain
    if x.ndim == case.rank + 2:
        if len(x) == 0:
            return
        x = x[0]
    batch = function(x[np.newaxis], filters, bias, **case.options)
    assert batch.shape[0] == 1
    np.testing.assert_array_equal(function(x, filters, bias, **case.options), batch[0])


def check_memory_form_changes_no_bit(function, case):
    """Strides, byte order, alignment and read-only flags of the arguments do not matter."""
    got, plain = function(*case.arguments, **case.options), function(*case.plain, **case.options)
    assert got.dtype == plain.dtype
    np.testing.assert_array_equal(got, plain)
    return got
