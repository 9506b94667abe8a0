"""Poolings that are wrong, each in one way."""

from functools import partial

import numpy as np

from .wrong import wrong

pooling = partial(wrong, "poolings")


# Reductions.


@pooling("any_order")
def leaves_out_elements_beyond_eight(w):
    return w[..., :8].mean(-1)


@pooling("wide")
def leaves_out_elements_beyond_100(w):
    return w[..., :100].mean(-1)


@pooling("wide")
def leaves_out_elements_beyond_500(w):
    return w[..., :500].max(-1)


@pooling("precision")
def deviation_by_squares(w):
    return np.sqrt(np.maximum((w * w).mean(-1) - w.mean(-1) ** 2, 0))


@pooling("many")
def leaves_out_windows_beyond_5000(w):
    return w.sum(-1) * (np.arange(w[..., 0].size).reshape(w.shape[:-1]) < 5000)


@pooling("any_order")
def takes_the_first(w):
    return w[..., 0] * 1


@pooling("any_order")
def weighs_by_position(w):
    return (w * np.arange(1, w.shape[-1] + 1, dtype=w.dtype)).sum(-1)


@pooling("single_element no_nan")
def deviation_of_a_sample(w):
    return np.sqrt(((w - w.mean(-1, keepdims=True)) ** 2).sum(-1) / np.array(w.shape[-1] - 1, w.dtype))


@pooling("definition", like="avg")
def wrong_for_one_element(w):
    return w.mean(-1) * (2 if w.shape[-1] == 1 else 1)


@pooling("definition", like="avg")
def wrong_for_seven_elements(w):
    return w.mean(-1) * (1.01 if w.shape[-1] == 7 else 1)


@pooling("definition", like=lambda w: (w * w).sum(-1))
def infinite_for_eleven_elements(w):
    return (w * w).sum(-1) + (np.inf if w.shape[-1] == 11 else 0)


@pooling("wide", like="avg")
def doubled_for_27_elements(w):
    return w.mean(-1) * (2 if w.shape[-1] == 27 else 1)


def doubled(w):
    return 1 if w.shape[-1] % 64 else 2


@pooling("wide", like="avg", gradient=lambda w, y: np.full_like(w, doubled(w) / w.shape[-1]))
def doubled_for_multiples_of_64(w):
    return w.mean(-1) * doubled(w)


@pooling("other_axes", gradient=lambda w, y: 2 * (w - w.mean(-1, keepdims=True)) / w.shape[-1])
def takes_the_second_axis_for_the_last(w):
    return ((w - w.mean(1, keepdims=True)) ** 2).mean(-1)


@pooling("wide", ordered=True, exact=True, propagates_nan=False, like=lambda w: w[..., -1])
def takes_the_last_but_one_of_many(w):
    return w[..., -2 if w.shape[-1] > 50 else -1] * 1


@pooling("independent")
def normalises_over_all_windows(w):
    return w.max(-1) - w.max(initial=0)


@pooling("no_nan precision")
def sum_of_exponentials_overflows(w):
    e = np.exp(w)
    return (w * e).sum(-1) / e.sum(-1)


@pooling("digits")
def averages_in_float32(w):
    return w.mean(-1, dtype=np.float32)


@pooling("result_form")
def in_half_precision(w):
    return w.max(-1).astype(np.float16)


@pooling("result_form")
def keeps_an_axis(w):
    return w.max(-1, keepdims=True)


@pooling("result_form")
def breaks_without_windows(w):
    return w.max(-1) - 0 * w.reshape(-1)[0]


@pooling("input_untouched any_memory")
def sorts_in_place(w):
    w.sort(-1)
    return w[..., -1] * 1


@pooling("repeatable many_threads in_pooling in_adaptive", indexed=True)
def random_by_itself(w, index):
    picked = np.random.default_rng().integers(0, w.shape[-1], w.shape[:-1])
    return np.take_along_axis(w, picked[..., None], -1)[..., 0] + np.random.default_rng().random(w.shape[:-1], w.dtype)


@pooling("independent", indexed=True, ordered=True)
def random_by_the_block(w, index):
    picked = (index - index[:1]) % w.shape[-1]
    return np.take_along_axis(w, picked[..., None], -1)[..., 0]


# Reductions that are said to be exact.


@pooling("is_an_element result_form", exact=True)
def is_not_exact(w):
    return w.mean(-1)


@pooling("is_an_element single_element", exact=True)
def is_an_element_but_for_the_sign(w):
    return np.abs(w).max(-1)


@pooling("is_an_element", exact=True)
def is_exact_for_floats_only(w):
    return w.max(-1) if w.dtype.kind == "f" else (w.max(-1) | 1).astype(w.dtype)


@pooling("is_an_element", exact=True)
def wrong_for_negative_integers(w):
    return np.abs(w).max(-1).astype(w.dtype) if w.dtype.kind == "i" else w.max(-1)


@pooling("is_an_element", exact=True)
def negative_of_unsigned_numbers(w):
    return w.max(-1) if w.dtype == bool else -((-w).min(-1))


@pooling("is_an_element", exact=True)
def integers_by_way_of_float32(w):
    return w.astype(np.float32).max(-1).astype(w.dtype) if w.dtype.kind in "iu" else w.max(-1)


@pooling("is_an_element", exact=True)
def integers_by_way_of_float64(w):
    return w.astype(np.float64).max(-1).astype(w.dtype) if w.dtype == np.int64 else w.max(-1)


@pooling("is_an_element", exact=True)
def unsigned_integers_by_way_of_float64(w):
    return w.astype(np.float64).max(-1).astype(w.dtype) if w.dtype == np.uint64 else w.max(-1)


# What is no number, or not finite.


@pooling("not_a_number")
def leaves_out_nan(w):
    return np.nanmax(w, -1)


@pooling("not_a_number infinity")
def replaces_what_is_not_finite(w):
    return np.nan_to_num(w, posinf=0, neginf=0).max(-1)


@pooling("not_a_number")
def leaves_out_a_nan_in_the_second_place(w):
    second = np.nan_to_num(w[..., 1:2], nan=0) if w.shape[-1] > 3 else w[..., 1:2]
    return w[..., :1].sum(-1) + second.sum(-1) + w[..., 2:].sum(-1)


@pooling("not_a_number")
def leaves_out_a_nan_in_the_third_of_seven_places(w):
    return np.where(np.arange(w.shape[-1]) == 2, np.nan_to_num(w), w).sum(-1) if w.shape[-1] == 7 else w.sum(-1)


@pooling("not_a_number")
def leaves_out_two_nans(w):
    return np.where(np.isnan(w).sum(-1) > 1, np.nanmax(w, -1), w.max(-1))


@pooling("not_a_number")
def takes_an_infinity_before_a_nan(w):
    return np.where(np.isposinf(w).any(-1), np.inf, w.max(-1)).astype(w.dtype)


@pooling("infinity")
def forgets_two_infinities(w):
    return np.where(np.isposinf(w).sum(-1) > 1, 0, w.max(-1))


# Gradients.


def one_hot(index, w):
    return (np.arange(w.shape[-1]) == index[..., None]).astype(w.dtype)


@pooling("slope gradient_sum", gradient=lambda w, y: np.ones_like(w))
def gradient_is_not_divided(w):
    return w.mean(-1)


@pooling("slope", gradient=lambda w, y: one_hot(w.argmin(-1), w))
def gradient_of_the_smallest(w):
    return w.max(-1)


@pooling("slope", gradient=lambda w, y: np.full_like(w, 1 / w.shape[-1] if w.shape[-1] > 1 else 0))
def gradient_wrong_for_one_element(w):
    return w.mean(-1)


@pooling("slope", gradient=lambda w, y: np.full_like(w, (1.01 if w.shape[-1] == 12 else 1) / w.shape[-1]))
def gradient_wrong_for_twelve_elements(w):
    return w.mean(-1)


@pooling("slope gradient_sum", gradient=lambda w, y: np.where(np.arange(w.shape[-1]) < 8, 1, 0) / w.shape[-1] + w * 0)
def gradient_wrong_beyond_eight_elements(w):
    return w.mean(-1)


@pooling("wide", gradient=lambda w, y: np.full_like(w, 0 if w.shape[-1] == 27 else 1 / w.shape[-1]))
def gradient_zero_for_27_elements(w):
    return w.mean(-1)


@pooling("wide", gradient=lambda w, y: np.full_like(w, (2 * doubled(w) - 1) / w.shape[-1]))
def gradient_three_times_for_multiples_of_64(w):
    return w.mean(-1)


@pooling("wide", gradient=lambda w, y: one_hot(w.argmax(-1).astype(np.int8), w) - one_hot(w.argmin(-1).astype("b"), w))
def gradient_counts_in_bytes(w):
    return w.max(-1) - w.min(-1)


@pooling("slope", gradient=lambda w, y: np.abs(w) / np.where(y == 0, 1, y)[..., None])
def gradient_wrong_for_negative_elements(w):
    return np.sqrt((w * w).sum(-1))


@pooling("independent", gradient=lambda w, y: 2 * np.roll(w, 1, 0) / w.shape[-1])
def gradient_of_the_next_window(w):
    return (w * w).mean(-1)


@pooling("other_axes", gradient=lambda w, y: 2 * (w - w.mean(1, keepdims=True)) / w.shape[-1])
def gradient_takes_the_second_axis_for_the_last(w):
    return ((w - w.mean(-1, keepdims=True)) ** 2).mean(-1)


@pooling("not_a_number", gradient=lambda w, y: 2 * w / w.shape[-1] + 0 * w.sum())
def gradient_spreads_nan_to_other_windows(w):
    return (w * w).mean(-1)


@pooling("result_form", gradient=lambda w, y: np.full(w.shape, 1 / w.shape[-1]))
def gradient_widens(w):
    return w.mean(-1)


@pooling("slope_far", gradient=lambda w, y: np.exp(w) / np.exp(w).sum(-1, keepdims=True))
def gradient_overflows(w):
    m = w.max(-1)
    return m + np.log(np.exp(w - m[..., None]).sum(-1))


@pooling("parameters", gradient=lambda w, y, power: 2 * w)
def gradient_for_one_power_only(w, power=2.0):
    return (np.abs(w) ** power).sum(-1)
