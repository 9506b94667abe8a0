"""What the checks say, to whom they listen, and what the laws rest on."""

import pickle
import subprocess
import sys
from ctypes import CFUNCTYPE, POINTER, c_double, c_int, c_ssize_t, c_void_p

import numpy as np
import pytest
from foreign import activation, array, both
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

import pyconvx as cx
from pyconvx.testing import LawBroken, check_activation, check_all, check_padding, check_pooling, checks, law_tests
from pyconvx.testing.laws import LAWS
from pyconvx.testing.laws.differences import slopes
from pyconvx.testing.laws.law import Block, Subject
from pyconvx.testing.strategies.arrays import Drawn
from pyconvx.testing.strategies.conv import ConvCase


@pytest.fixture
def lame():
    """An activation whose derivative is wrong."""
    with cx.activations.temporarily("lame", lambda x: x * x, derivative=lambda x, y: x) as plugin:
        yield plugin


def failure(name, law, **options):
    """What one law says of a plugin."""
    return next(check for check in checks(name, **options) if check.law.name == law).failure()


def test_a_failure_tells_plugin_law_input_and_what_was_seen(lame):
    with pytest.raises(LawBroken) as info:
        check_activation("lame", examples=12)
    assert isinstance(info.value, AssertionError)
    assert info.value.laws == ("slope", "slope_far", "gradient_sum")
    first = str(info.value).split("\n\n")[0].splitlines()
    assert first == [
        f"activation lame() (registered by {__name__}) breaks a law.",
        "  law      slope: Its gradient is the slope of its function.",
        "  for      x = array([[1.]])",
        "  seen     gradient[0, 0] is 1.0",
        "  expected 2.0 within 2e-07 (element, result), by differences at array([1.])",
    ]


def test_a_failure_can_be_pickled(lame):
    error = LawBroken({"slope": failure("lame", "slope")})
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.laws) == (str(error), ("slope",))


def test_runs_are_deterministic(lame):
    assert failure("lame", "slope_far") == failure("lame", "slope_far") is not None


def test_an_exception_of_the_plugin_is_told():
    def picky(w):
        if w.shape[-1] == 3:
            raise KeyError("no threes")
        return w.max(-1)

    with cx.poolings.temporarily("picky", picky):
        message = failure("picky", "result_form")
    assert "seen     KeyError: 'no threes'" in message
    assert "w = array([[0., 0., 0.]])" in message


def test_an_exception_is_told_with_its_line_and_kept_as_the_cause():
    def looks_up(x):
        return {}["alpha"]

    line = looks_up.__code__.co_firstlineno + 1
    with cx.activations.temporarily("looks_up", looks_up), pytest.raises(LawBroken) as info:
        check_activation("looks_up", examples=2)
    assert f"KeyError: 'alpha' ({__file__}, line {line}, in looks_up)" in str(info.value)
    assert isinstance(info.value.__cause__, KeyError)
    with cx.activations.temporarily("looks_up", looks_up), pytest.raises(LawBroken) as info:
        checks("looks_up")[0]()
    assert isinstance(info.value.__cause__, KeyError)


def test_what_the_library_does_not_take_is_no_exception_of_the_plugin():
    with cx.poolings.temporarily("keeps", lambda w: w):
        told = failure("keeps", "result_form").splitlines()
    assert "must return an array of shape" in told[3]
    assert told[4] == "  expected what the library takes"


def test_a_plugin_that_ends_the_program_breaks_the_law():
    with cx.activations.temporarily("ends", lambda x: sys.exit(3)), pytest.raises(LawBroken) as info:
        check_activation("ends", examples=2)
    assert "seen     SystemExit: 3" in str(info.value)

    def interrupted(x):
        raise KeyboardInterrupt

    with cx.activations.temporarily("ends", interrupted), pytest.raises(KeyboardInterrupt):
        check_activation("ends", examples=2)


def test_a_convolution_is_told_with_the_mode_under_test():
    with cx.paddings.temporarily("shy", lambda i, n: np.clip(i, 0, n - 1) if n < 2 else i[:0]):
        assert "'padding_mode': shy()" in failure("shy", "in_convolution")


def test_what_happens_only_sometimes_is_told():
    calls = iter(range(10**6))

    def moody(x):
        if next(calls) == 100:
            raise OSError("not today")
        return x * 2

    with cx.activations.temporarily("moody", moody):
        message = failure("moody", "independent")
    assert "seen     OSError: not today" in message
    assert "only     sometimes" in message


def test_parameters_are_those_given():
    def scaled(x, factor=1.0):
        return x * factor

    with cx.activations.temporarily("scaled", scaled, derivative=lambda x, y, factor: factor + (factor == 3) + 0 * x):
        check_activation("scaled", examples=3)
        check_activation("scaled", factor=2.0, examples=3)
        check_activation(cx.activation("scaled", factor=2.0), like=lambda x: 2 * x, examples=3)
        with pytest.raises(LawBroken, match=r"scaled\(factor=3.0\)"):
            check_activation("scaled", factor=3.0, examples=3)
        with pytest.raises(TypeError, match="no parameter 'factr'"):
            check_activation("scaled", factr=3.0)


def test_a_parameter_that_is_a_long_array():
    check_activation("prelu", alpha=np.linspace(-1, 1, 300), examples=2)


def test_like_is_a_definition():
    rule = lambda i, n: np.clip(i, 0, n - 1)  # noqa: E731
    with cx.paddings.temporarily("mine", rule):
        check_padding("mine", like="edge", examples=3)
        check_padding("mine", like=lambda x, before, after: np.pad(x, (before, after), "edge"), examples=3)
        with pytest.raises(LawBroken) as info:
            check_padding("mine", like="wrap", examples=30)
    assert info.value.laws == ("definition", "definition_each")


def test_a_padding_mode_may_refuse_what_no_window_reads():
    """Windows that stride over the end read less of the padding than a definition does that makes all of it."""

    def short(i, n):
        if (i > 2 * n - 2).any() or (i <= -n).any():
            raise ValueError("pads must be shorter than the axis")
        return np.minimum(np.abs(i), 2 * (n - 1) - np.abs(i))

    case = ConvCase(Drawn((1, 3, 1), "float64"), Drawn((1, 1, 1), "float64"), None, {"stride": 2, "padding": ((0, 3),)})
    (law,) = (law for law in LAWS["padding mode"] if law.name == "in_convolution")

    @settings(database=None)
    @given(st.just(case))
    def holds(case):
        law.holds(Subject(cx.padding("short")), case)

    with cx.paddings.temporarily("short", short), pytest.raises(Unsatisfiable):  # it is left out
        holds()


def test_a_gradient_may_be_off_as_far_as_the_result_that_it_is_given():
    """A log of a sum of exponentials near 7,000: its float32 is off by 0.0005, and so is exp(w - y)."""

    def lse(w):
        m = w.max(-1)
        return m + np.log(np.exp(w - m[..., None]).sum(-1))

    (law,) = (law for law in LAWS["pooling"] if law.name == "precision")
    random = np.random.default_rng(0)
    with cx.poolings.temporarily("lse", lse, gradient=lambda w, y: np.exp(w - y[..., None])):
        for _ in range(300):
            w = np.full((3, 25), -5.0)
            w[:, 14] = random.uniform(5000, 10_000, 3)
            w[:, 3] = w[:, 14] - random.uniform(5, 7, 3)
            law.holds(Subject(cx.pooling("lse")), Block("w", w.astype(np.float32).astype(np.float64)))


def test_names_that_are_not_registered():
    for check, kind in ((check_padding, "padding mode"), (check_activation, "activation"), (check_pooling, "pooling")):
        with pytest.raises(cx.UnknownNameError, match=f"unknown {kind} 'nobody'"):
            check("nobody")
    with pytest.raises(cx.UnknownNameError, match="did you mean 'reflect'"):
        checks("Reflekt")
    with pytest.raises(TypeError, match="plugin must be a name"):
        checks(cx.filters["sobel_x"])
    with pytest.raises(TypeError, match="activation must be a name"):
        check_activation(cx.pooling("max"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"examples": 0}, ValueError, "examples"),
        ({"examples": 1.5}, TypeError, "examples"),
        ({"examples": None}, TypeError, "examples"),
        ({"like": "rellu"}, ValueError, "like must be a function or one of identity, relu, .*'rellu'"),
        ({"like": 3}, TypeError, "like must be a function .* got 3"),
    ],
)
def test_bad_options(options, error, message):
    for call in (check_activation, checks, law_tests):
        with pytest.raises(error, match=message):
            call("relu", **options)


def test_rows_of_some_lengths_only():
    def eighth(length):
        if length % 8:
            raise ValueError("eight at a time")
        return length // 8

    with cx.activations.temporarily(
        "tall", lambda x: x.reshape(len(x), x.shape[-1] // 8, 8).sum(-1), rowwise=True, output_size=eighth
    ):
        check_activation("tall", examples=3)

    def never(length):
        raise ValueError("no")

    with (
        cx.activations.temporarily("picky", lambda x: x, rowwise=True, output_size=never),
        pytest.raises(ValueError, match="takes rows of no length"),
    ):
        check_activation("picky", examples=3)


def test_a_name_of_several_kinds_is_checked_as_each():
    kinds = {check.subject.bound.plugin.kind for check in checks("softmax")}
    assert kinds == {"activation", "pooling"}


def test_check_all_tells_of_every_plugin_that_is_wrong(lame, monkeypatch):
    def required(x, needed):
        return x

    few = {name: cx.activations[name] for name in ("relu",)}
    registry = type(cx.activations)("activation", cx.ActivationFunction)
    registry._entries = ({**few, "lame": lame}, {})
    monkeypatch.setattr("pyconvx.testing.check.REGISTRIES", (registry,))
    registry.register("needs_a_parameter", required)
    with pytest.raises(LawBroken) as info:
        check_all(examples=3)
    assert info.value.laws == ("activation lame: slope, slope_far, gradient_sum",)


def test_law_tests_has_a_case_for_each_law(lame):
    test = law_tests("lame", examples=20)
    (mark,) = test.pytestmark
    laws = {check.law.name: check for check in mark.args[1]}
    assert mark.kwargs["ids"] == list(laws)
    test(laws["result_form"])
    with pytest.raises(LawBroken, match="slope"):
        test(laws["slope"])


def test_laws_that_cannot_apply_are_left_out():
    names = {check.law.name for check in checks(cx.activation("relu"))}
    assert "linear" not in names
    with cx.activations.temporarily("free", lambda x: x + 1):
        free = {check.law.name for check in checks("free")}
    assert not free & {"slope", "slope_far", "gradient_sum", "linear", "compiled", "definition"}
    with cx.activations.temporarily("step", lambda x: 1.0 * (x > 0), derivative=lambda x, y: x, surrogate=True):
        assert "slope" not in {check.law.name for check in checks("step")}
    assert "any_order" not in {check.law.name for check in checks(cx.pooling("stochastic"))}
    assert "is_an_element" in {check.law.name for check in checks(cx.pooling("max"))}


@pytest.mark.parametrize("kind", LAWS)
def test_laws_have_names_of_their_own_and_sentences(kind):
    laws = LAWS[kind]
    assert len({law.name for law in laws}) == len(laws) >= 14
    for law in laws:
        assert law.statement[0].isupper()
        assert law.statement.endswith((".", ")."))
        assert 0 < law.share <= 1


def test_cases_print_as_what_makes_them():
    law = next(law for law in LAWS["padding mode"] if law.name == "index_range")
    assert law.cases(Subject(cx.padding("zeros"))) is not None
    with cx.paddings.temporarily("bad", lambda i, n: np.clip(i, 0, n)):
        message = failure("bad", "index_range")
    assert "for      n = 1, before = 0, after = 1\n" in message
    assert "coordinate 1 of an axis of length 1 has index 1" in message


# Slopes by differences: right where they are known, and unknown at kinks and jumps.


def slope_of(function, x):
    """The slope of a function of one number, and its error."""
    slope, error = slopes(function, np.array([x]), np.eye(1))
    return slope.item(), error.item()


@pytest.mark.parametrize(
    ("function", "derivative"), [(np.sin, np.cos), (np.exp, np.exp), (np.tanh, lambda x: 1 / np.cosh(x) ** 2)]
)
@pytest.mark.parametrize("x", [-20.0, -1.0, 0.0, 1e-6, 0.3, 30.0])
def test_slopes_are_right(function, derivative, x):
    slope, error = slope_of(function, x)
    assert abs(slope - derivative(x)) <= error <= 1e-4 * (1 + abs(derivative(x)))


@pytest.mark.parametrize("x", [1e3, 1e4, -1e4])
def test_slopes_are_right_far_away(x):
    slope, error = slope_of(lambda x: x + np.sin(x) ** 2, x)
    assert abs(slope - (1 + np.sin(2 * x))) <= 4 * error <= 1e-3


@pytest.mark.parametrize(
    "function",
    [np.abs, lambda x: np.maximum(x, 0), np.sign, lambda x: x * x + 1e-3 * np.abs(x), lambda x: x / 0, np.sqrt],
)
@pytest.mark.parametrize("x", [0.0, 1e-7, -1e-7])
def test_slopes_at_kinks_are_unknown(function, x):
    with np.errstate(all="ignore"):
        slope, error = slope_of(function, x)
    assert error == np.inf or 4 * error > abs(slope)


def test_testing_needs_hypothesis_and_says_so():
    code = """
import sys
sys.modules["hypothesis"] = None
import numpy as np, pyconvx as cx
assert cx.testing.reference.pad(np.ones(2), 1).tolist() == [0, 1, 1, 0]
for name in ("check_padding", "strategies", "arrays"):
    try:
        getattr(cx.testing, name)
    except ImportError as error:
        assert "pip install hypothesis" in str(error) and name in str(error), error
    else:
        raise AssertionError(name)
try:
    cx.testing.nothing
except AttributeError as error:
    assert "nothing" in str(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_what_writes_beyond_its_memory_is_called_by_no_other_law():
    def call(x, y, n, user):
        array(y, n + 1)[...] = 2
        return 0

    real = POINTER(c_double)
    function = CFUNCTYPE(c_int, real, real, c_ssize_t, c_void_p)(call)
    with (
        cx.activations.temporarily("long", lambda x: x * 0 + 2, propagates_nan=False, compiled=function),
        pytest.raises(LawBroken) as info,
    ):
        check_activation("long", examples=5)
    assert info.value.laws[-1] == "compiled_memory"
    told = str(info.value).split("\n\n")[-1].splitlines()
    assert told[2:] == [
        "  for      rows = 1, length = 1, dtype = 'float64', seed = 0",
        "  seen     y[1] was written to",
        "  expected nothing beside its 1 elements",
    ]


def test_a_compiled_form_is_told_beside_what_python_says():
    function = both(activation, lambda x: x * 3 if x.size == 17 else x * 2)
    with cx.activations.temporarily("seventeen", lambda x: x * 2, compiled=function):
        told = failure("seventeen", "compiled_each").splitlines()
    assert told[2] == "  for      rows = 17, length = 1, dtype = 'float64', seed = 0"
    seen, expected = told[3].split(" is ")[1], told[4].split()[1]
    assert float(seen) == 1.5 * float(expected)
    assert told[4].endswith("by the Python form")
