"""Registered poolings as reductions of windows: values, gradients, NaN and ties; and what is refused from a plugin."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pyconvx as cx
from pyconvx.pooling import evaluate, slopes

KINDS = list(cx.poolings)
FLOATS = ["float32", "float64"]
INF, NAN = math.inf, math.nan


def windows(elements, dtype="float64"):
    return hnp.arrays(dtype, st.tuples(st.integers(1, 4), st.integers(1, 7)), elements=elements)


def numbers(w):
    return np.arange(w[..., 0].size).reshape(w.shape[:-1])


def pool(kind, w, **params):
    w = np.asarray(w, float) if isinstance(w, list) else w
    return evaluate(cx.pooling(kind, **params), w, numbers(w))


def slope(kind, w, **params):
    w = np.asarray(w, float) if isinstance(w, list) else w
    bound = cx.pooling(kind, **params)
    return slopes(bound, w, evaluate(bound, w, numbers(w)), numbers(w))


def spaced_windows():
    """Elements far enough from each other and from 0 to stay in order under a small change."""
    distinct = st.lists(st.integers(1, 60), min_size=1, max_size=7, unique=True)
    signs = st.lists(st.sampled_from([-1, 1]), min_size=7, max_size=7)
    return st.tuples(distinct, signs).map(lambda pair: np.array([[k * s / 12 for k, s in zip(*pair, strict=False)]]))


DEFINITIONS = {
    "max": ({}, np.max),
    "min": ({}, np.min),
    "avg": ({}, np.mean),
    "sum": ({}, np.sum),
    "lp": ({"p": 3.0}, lambda w: np.sum(np.abs(w) ** 3) ** (1 / 3)),
    "median": ({}, np.median),
    "percentile": ({"q": 30.0}, lambda w: np.percentile(w, 30)),
    "logsumexp": ({"temperature": 2.0}, lambda w: 2 * np.log(np.sum(np.exp(w / 2)))),
    "softmax": ({"temperature": 2.0}, lambda w: np.sum(w * np.exp(w / 2)) / np.sum(np.exp(w / 2))),
    "mixed": ({"alpha": 0.25}, lambda w: 0.25 * np.max(w) + 0.75 * np.mean(w)),
    "std": ({}, np.std),
}


def test_every_pooling_but_the_random_one_is_defined_here():
    assert set(DEFINITIONS) == set(KINDS) - {"stochastic"}
    assert {name for name in KINDS if cx.poolings[name].exact} == {"max", "min"}


# Windows are drawn once for all kinds: drawing takes longer than computing.


@given(w=windows(st.floats(-50, 50)))
def test_value_is_the_definition(w):
    for kind, (params, definition) in DEFINITIONS.items():
        expected = [definition(row) for row in w]
        # sums of up to 7 elements below 50, each rounded; std is that of rounded differences
        assert pool(kind, w, **params) == pytest.approx(expected, rel=1e-13, abs=1e-12), kind


@given(w=windows(st.floats(-50, 50, width=32), "float32"))
def test_float32_stays_float32(w):
    for kind, (params, definition) in DEFINITIONS.items():
        y = pool(kind, w, **params)
        assert y.dtype == np.float32, kind
        assert slope(kind, w, **params).dtype == np.float32, kind
        assert y == pytest.approx([definition(row.astype(float)) for row in w], rel=1e-5, abs=1e-4), kind


@pytest.mark.parametrize("kind", KINDS)
@given(w=spaced_windows())
def test_gradient_is_the_limit_of_differences(kind, w):
    params = DEFINITIONS.get(kind, ({"seed": 5}, None))[0]
    step = 1e-6
    assume(kind != "std" or w.shape[-1] > 1)  # a deviation of 0 is a kink
    gradient = slope(kind, w, **params)
    for at in range(w.shape[-1]):
        shift = np.zeros(w.shape[-1])
        shift[at] = step
        high, low = pool(kind, w + shift, **params), pool(kind, w - shift, **params)
        assume(kind != "stochastic" or (np.abs(high - low) < 1e-4).all())  # the change decides the draw
        assert gradient[:, at] == pytest.approx((high - low) / (2 * step), rel=1e-4, abs=1e-6)


@given(w=windows(st.floats(-50, 50)), data=st.data())
def test_order_in_the_window_does_not_matter(w, data):
    order = data.draw(st.permutations(range(w.shape[-1])))
    for kind in DEFINITIONS:
        assert pool(kind, w[:, order]) == pytest.approx(pool(kind, w), rel=1e-12, abs=1e-12), kind


@given(w=windows(st.floats(-50, 50)))
def test_windows_do_not_see_each_other(w):
    for kind in KINDS:
        bound = cx.pooling(kind)
        together = evaluate(bound, w, numbers(w))
        apart = [evaluate(bound, w[i : i + 1], numbers(w)[i : i + 1])[0] for i in range(len(w))]
        assert together == pytest.approx(np.array(apart), rel=1e-14, abs=1e-14), kind
        shaped = evaluate(bound, w[None, :, None], numbers(w)[None, :, None])
        assert shaped.shape == (1, len(w), 1), kind
        assert shaped.ravel() == pytest.approx(together, rel=1e-14, abs=1e-14), kind


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_nan_propagates(dtype, data):
    w = data.draw(windows(st.floats(-50, 50, width=32), dtype))
    at = data.draw(st.integers(0, w.shape[-1] - 1))
    w[0, at] = NAN
    for kind in KINDS:
        y = pool(kind, w)
        assert np.isnan(y[0]), kind
        assert not np.isnan(y[1:]).any(), kind
        assert slope(kind, w).shape == w.shape, kind


@pytest.mark.parametrize("kind", ["max", "min", "median", "percentile", "logsumexp", "softmax", "lp", "avg", "sum"])
@pytest.mark.parametrize("sign", [1, -1])
def test_infinite_windows(kind, sign):
    assert pool(kind, [[sign * INF] * 2]) == [INF if kind == "lp" else sign * INF]
    assert np.isinf(pool(kind, [[sign * INF]]))[0]


def test_one_infinity():
    assert pool("logsumexp", [[0, INF], [0, -INF]]).tolist() == [INF, 0]
    assert pool("softmax", [[0, INF], [5, -INF]]).tolist() == [INF, 5]
    assert pool("median", [[0, INF], [-INF, 0], [0, 1], [INF, INF]]).tolist() == [INF, -INF, 0.5, INF]
    assert pool("median", [[1, 2, INF], [-INF, 2, INF]]).tolist() == [2, 2]
    assert pool("lp", [[1, -INF]]).tolist() == [INF]
    assert pool("stochastic", [[1, INF, 2]]).tolist() == [INF]


@pytest.mark.parametrize("kind", ["lp", "std", "logsumexp", "softmax", "stochastic"])
def test_large_and_small_elements_neither_overflow_nor_vanish(kind):
    for scale in (np.float32(1e30), np.float32(1e-30)):
        w = np.array([[3, 4, 3, 4]], np.float32) * scale
        y = pool(kind, w)
        assert np.isfinite(y).all()
        assert (y > 0).all()
        assert np.isfinite(slope(kind, w)).all()
    assert pool("lp", np.float32([[3e30, 4e30]])) == [pytest.approx(5e30)]
    assert pool("std", np.float32([[3e30, 5e30]])) == [pytest.approx(1e30)]


def test_ties_go_to_the_first():
    assert slope("max", [[1, 3, 3]]).tolist() == [[0, 1, 0]]
    assert slope("min", [[1, 3, 1]]).tolist() == [[1, 0, 0]]
    assert slope("median", [[2, 2, 2]]).tolist() == [[0, 1, 0]]
    assert slope("median", [[4, 1, 2, 3]]).tolist() == [[0, 0, 0.5, 0.5]]
    assert slope("max", [[NAN, 1, NAN]]).tolist() == [[1, 0, 0]]


def test_gradient_is_zero_where_there_is_none():
    assert slope("lp", [[0, 0]]).tolist() == [[0, 0]]
    assert slope("lp", [[0, 1]], p=0.5).tolist() == [[0, 1]]
    assert slope("std", [[7, 7]]).tolist() == [[0, 0]]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_exact_poolings_keep_the_dtype(kind, dtype):
    w = np.array([[1, 0, 1]]).astype(dtype)
    assert pool(kind, w).dtype == dtype
    assert pool(kind, w).tolist() == [kind == "max"]


@pytest.mark.parametrize(
    ("kind", "params"),
    [("lp", {"p": 0}), ("percentile", {"q": -1}), ("percentile", {"q": 101}),
     ("logsumexp", {"temperature": 0}), ("softmax", {"temperature": -1})],
)  # fmt: skip
def test_parameters_out_of_range(kind, params):
    ((name, value),) = params.items()
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}") as info:
        pool(kind, [[1.0, 2.0]], **params)
    assert info.value.__notes__ == [f"in the function of the pooling {kind!r} (registered by pyconvx.pooling)"]


def test_stochastic_chooses_in_proportion_and_by_place_and_seed_only():
    w = np.broadcast_to(np.array([1.0, 0.0, 2.0, -3.0, 5.0]), (80_000, 5))
    chosen = pool("stochastic", w)
    share = np.array([(chosen == value).mean() for value in w[0]])
    expected = np.array([1, 0, 2, 0, 5]) / 8
    # five standard deviations of a binomial share
    assert (np.abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / len(w))).all()
    bound = cx.pooling("stochastic")
    assert np.array_equal(evaluate(bound, w[::-7], np.arange(80_000)[::-7]), chosen[::-7])
    assert (pool("stochastic", w, seed=1) != chosen).mean() > 0.3
    assert (pool("stochastic", w, seed=-1) != chosen).mean() > 0.3
    with pytest.raises(TypeError, match=r"seed must be an int, got 0\.5"):
        pool("stochastic", w, seed=0.5)
    with pytest.raises(ValueError, match="needs the index"):
        evaluate(bound, w)


def test_stochastic_is_uniform_where_nothing_is_positive():
    w = np.broadcast_to(np.array([-1.0, -2.0, 0.0, -4.0]), (40_000, 4))
    share = [(pool("stochastic", w) == value).mean() for value in w[0]]
    assert share == pytest.approx([0.25] * 4, abs=5 * math.sqrt(0.25 * 0.75 / len(w)))


@given(w=windows(st.floats(0, 1) | st.just(0.0)), seed=st.integers(-(2**70), 2**70))
def test_stochastic_never_takes_an_element_without_a_chance(w, seed):
    positive = (w > 0).any(-1)
    assert (pool("stochastic", w, seed=seed)[positive] > 0).all()
    picked = slope("stochastic", w, seed=seed)
    assert (picked.sum(-1) == 1).all()
    assert ((picked * w).sum(-1) == pool("stochastic", w, seed=seed)).all()


def test_a_plugin_cannot_write_to_its_windows():
    with (
        cx.poolings.temporarily("careless", lambda w: w.sort(-1)),
        pytest.raises(ValueError, match="read-only"),
    ):
        pool("careless", [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("result", "got"),
    [
        (None, "NoneType None"),
        ([1.0], "list"),
        (np.zeros(3, np.float32), r"shape \(3,\)"),
        (np.zeros(2), "float64"),
        (np.ma.zeros(2, np.float32), "a masked array: fill it first"),
    ],
)
def test_what_a_plugin_must_return(result, got):
    w = np.zeros((2, 3), np.float32)
    broken = lambda *arguments: result  # noqa: E731
    with cx.poolings.temporarily("broken", broken), pytest.raises(ValueError, match=got) as info:
        evaluate(cx.pooling("broken"), w)
    assert f"function of pooling 'broken' (registered by {__name__}) must return" in str(info.value)
    with (
        cx.poolings.temporarily("broken", lambda w: w.max(-1), gradient=broken),
        pytest.raises(ValueError, match=f"gradient of pooling 'broken' .* {got}"),
    ):
        slope("broken", w)


def test_a_missing_gradient_says_how_to_add_one():
    with (
        cx.poolings.temporarily("range", lambda w: np.ptp(w, -1)),
        pytest.raises(ValueError, match=r"'range' .* has no gradient; register it with gradient="),
    ):
        slope("range", [[1.0, 2.0]])


def test_a_plugin_is_checked_when_it_is_registered():
    with pytest.raises(TypeError, match=r"function\(w, index\), but .* takes 1"):
        cx.poolings.register("a", lambda w: w, indexed=True)
    with pytest.raises(TypeError, match=r"gradient\(w, y, index\), but .* takes 2"):
        cx.poolings.register("a", lambda w, index: w, indexed=True, gradient=lambda w, y: w)
    assert "a" not in cx.poolings


def test_aliases():
    assert cx.poolings["mean"] is cx.poolings["avg"]
