"""Padding modes that are wrong, each in one way."""

import itertools
from functools import partial

import numpy as np

from pyconvx import OUTSIDE

from .wrong import wrong

padding = partial(wrong, "paddings")


def bounced(i, n):
    i = i % max(2 * n - 2, 1)
    return np.minimum(i, max(2 * n - 2, 1) - i)


@padding("index_range")
def off_by_one_at_the_end(i, n):
    return np.clip(i, 0, n)


@padding("index_range")
def off_by_one_at_the_beginning(i, n):
    return np.clip(i, -1, n - 1)


@padding("definition", like="reflect")
def reflect_off_by_one_at_the_end(i, n):
    return np.where(i >= n, bounced(i - 1, n), bounced(i, n))


@padding("definition", like=lambda x, before, after: np.pad(x, (before, after), "edge"))
def wrong_far_away(i, n):
    return np.where(i < -8, n - 1, np.clip(i, 0, n - 1))


@padding("definition_each", like="edge")
def wrong_for_an_axis_of_17(i, n):
    return np.where((i < 0) & (n == 17), 1, np.clip(i, 0, n - 1))


@padding("index_range")
def wrong_for_pads_longer_than_the_axis(i, n):
    i = np.abs(i)
    return np.where(i >= n, 2 * (n - 1) - i, i)


@padding("index_range interior")
def wrong_for_one_element_axis(i, n):
    return i % n if n > 1 else i + 1


@padding("interior", name="wrong_for_two_elements")
def _(i, n):
    return np.clip(i, 0, n - 1) if n != 2 else np.clip(i, 0, n - 1) * 0


@padding("interior")
def turns_the_axis_round(i, n):
    return n - 1 - np.clip(i, 0, n - 1)


@padding("interior")
def leaves_out_the_last_element(i, n):
    return np.clip(i, 0, max(n - 2, 0))


@padding("interior")
def weighs_the_axis(i, n):
    return np.clip(i, 0, n - 1), np.full(i.shape, 0.5)


@padding("independent")
def counts_from_the_first_coordinate(i, n):
    return np.clip(np.arange(len(i)) + min(i[0], 0) if i.size else i, 0, n - 1) if i.size > n else np.clip(i, 0, n - 1)


@padding("independent")
def sorts_coordinates(i, n):
    return np.clip(np.sort(i), 0, n - 1)


@padding("input_untouched any_memory")
def writes_to_its_coordinates(i, n):
    i %= n
    return i


@padding("index_range")
def minus_one_for_outside(i, n):
    return np.where((i < 0) | (i >= n), -1, i)


@padding("index_range")
def counts_coordinates_in_bytes(i, n):
    return (i % n).astype(np.int8)


@padding("index_range")
def counts_coordinates_in_16_bits(i, n):
    return (i % n).astype(np.int16)


@padding("index_range")
def beyond_the_axis_after_1000(i, n):
    return np.where(np.abs(i) > 1000, n, i % n)


@padding("parameters")
def shift_leads_beyond_the_axis(i, n, shift=0):
    return np.where((i >= 0) & (i < n), i, np.clip(i, 0, n - 1) + shift)


@padding("index_range")
def wraps_one_too_late(i, n):
    return i % (n + 1)


@padding("index_range")
def gives_floats(i, n):
    return np.clip(i, 0, n - 1) * 1.0


@padding("index_range")
def infinite_weights(i, n):
    outside = (i < 0) | (i >= n)
    return np.clip(i, 0, n - 1), np.where(outside, np.inf, 1)


@padding("index_range")
def negative_constant(i, n):
    outside = (i < 0) | (i >= n)
    return np.where(outside, OUTSIDE, i), np.where(outside, -1, 1)


@padding("index_range")
def one_too_few(i, n):
    return np.clip(i, 0, n - 1)[1:]


@padding("index_range")
def refuses_every_pad(i, n):
    if i.min(initial=0) < 0:
        raise ValueError("no pads, please")
    return np.clip(i, 0, n - 1)


@padding("repeatable many_threads adjoint not_finite in_pad in_convolution in_pooling", name="random_elements")
def _(i, n):
    return np.where((i < 0) | (i >= n), np.random.default_rng().integers(0, n, i.shape), i)


@padding("repeatable gradient_sum")
def random_weights(i, n):
    outside = (i < 0) | (i >= n)
    return np.clip(i, 0, n - 1), np.where(outside, np.random.default_rng().random(i.shape), 1)


def alternating():
    calls = itertools.count()
    return lambda i, n: np.clip(i, 0, n - 1) if next(calls) % 2 else i % n


wrong("paddings", "repeatable", make=alternating, name="alternates")


def tabulating():
    tables = {}

    def rule(i, n):
        return tables.setdefault((n, len(i)), np.clip(i, 0, n - 1))

    return rule


wrong("paddings", "independent", make=tabulating, name="remembers_tables_by_their_length")


# Joint modes.


joint = partial(wrong, "paddings", joint=True, ranks=(2,))


def over_the_poles(latitude, rows):
    """The row on either side of the globe, and whether it is the other side."""
    latitude = latitude % (2 * rows)
    return np.minimum(latitude, 2 * rows - 1 - latitude), latitude >= rows


@joint("definition", like="globe")
def globe_without_half_a_turn(i, n):
    return over_the_poles(i[0], n[0])[0], i[1] % n[1]


@joint("index_range")
def globe_off_by_one_beyond_one_pole(i, n):
    row, beyond = over_the_poles(i[0], n[0])
    return np.where(i[0] >= n[0], row + 1, row), (i[1] + beyond * (n[1] // 2)) % n[1]


@joint("definition", like="globe")
def globe_that_turns_beyond_one_pole_only(i, n):
    row, beyond = over_the_poles(i[0], n[0])
    return row, (i[1] + (beyond & (i[0] < 0)) * (n[1] // 2)) % n[1]


@joint("definition", like="globe")
def globe_that_turns_for_one_row_only(i, n):
    return over_the_poles(i[0], n[0])[0], (i[1] + ((i[0] == -1) | (i[0] == n[0])) * (n[1] // 2)) % n[1]


@joint("definition", like="globe")
def globe_that_never_turns_back(i, n):
    return over_the_poles(i[0], n[0])[0], (i[1] + ((i[0] < 0) | (i[0] >= n[0])) * (n[1] // 2)) % n[1]


@joint("interior")
def globe_that_always_turns(i, n):
    return over_the_poles(i[0], n[0])[0], (i[1] + n[1] // 2) % n[1]


@joint("interior index_range")
def latitude_and_longitude_exchanged(i, n):
    row, beyond = over_the_poles(i[0], n[0])
    return (i[1] + beyond * (n[1] // 2)) % n[1], row


@joint("input_untouched any_memory")
def globe_that_writes_to_its_coordinates(i, n):
    i[1][...] = i[1] % n[1]
    row, beyond = over_the_poles(i[0], n[0])
    return row, (i[1] + beyond * (n[1] // 2)) % n[1]


@joint("independent")
def globe_that_turns_all_if_one_is_beyond_a_pole(i, n):
    row, beyond = over_the_poles(i[0], n[0])
    inside = (i[0] >= 0) & (i[0] < n[0]) & (i[1] >= 0) & (i[1] < n[1])
    return row, np.where(inside, i[1], i[1] + beyond.any() * (n[1] // 2)) % n[1]


@joint("interior")
def torus_that_weighs_its_elements(i, n):
    return (i[0] % n[0], i[1] % n[1]), np.full((1, 1), 0.5)


@joint("index_range")
def torus_with_infinite_weights(i, n):
    inside = (i[0] >= 0) & (i[0] < n[0]) & (i[1] >= 0) & (i[1] < n[1])
    return (i[0] % n[0], i[1] % n[1]), np.where(inside, 1, np.inf)


@joint("index_range")
def torus_that_counts_in_bytes(i, n):
    return (i[0] % n[0]).astype(np.int8), i[1] % n[1]


@joint("index_range interior")
def torus_that_forgets_an_axis(i, n):
    return (i[0] % n[0],)


@joint("definition", like=lambda x, pad_width: np.pad(x, pad_width, "wrap"))
def torus_with_a_twist(i, n):
    return i[0] % n[0], (i[1] + i[0] // n[0]) % n[1]


@joint("adjoint interior")
def globe_that_fails_beyond_the_north_pole(i, n):
    if (i[0] < 0).any():
        np.zeros(3) + np.zeros(2)
    row, beyond = over_the_poles(i[0], n[0])
    return row, (i[1] + beyond * (n[1] // 2)) % n[1]


@padding("interior in_convolution")
def always_refuses(i, n):
    raise ValueError("never")


@padding("index_range")
def beyond_the_axis_after_60(i, n):
    return np.where(np.abs(i) > 60, n, i % n)


@padding("interior")
def moves_elements_of_long_axes(i, n):
    inside = (i >= 0) & (i < n) & (n > 40)
    return np.where(inside, np.minimum(i + 1, n - 1), i % n)


def padded_by_edge(x, before, after):
    return np.pad(x, (before, after), "edge")


@padding("definition_each", like=padded_by_edge)
def wrong_for_64_elements(i, n):
    return np.where((i < 0) & (n == 64), 1, np.clip(i, 0, n - 1))


@padding("definition_each", like=lambda x, before, after: np.pad(x, (before, after), "wrap"))
def wraps_long_axes_one_too_far(i, n):
    return np.where((i < 0) | (i >= n), (i + (n > 150)) % n, i)


@padding("definition_each", like=padded_by_edge)
def wrong_beyond_400(i, n):
    return np.where(i < -400, n - 1, np.clip(i, 0, n - 1))


@padding("definition definition_each", like=lambda x, before, after: np.pad(x, (before, after), "reflect"))
def refuses_by_mistake(i, n):
    if i.size and (i.min() <= -n or i.max() >= 2 * n - 1):
        np.zeros(3) + np.zeros(2)
    i = np.abs(i)
    return np.where(i >= n, 2 * (n - 1) - i, i)


@padding("definition_each", joint=True, ranks=(2,), like=lambda x, pad_width: np.pad(x, pad_width, "wrap"))
def wrong_beyond_26_rows(i, n):
    return i[0] % n[0], (i[1] + ((i[1] < 0) & (n[0] > 26))) % n[1]
