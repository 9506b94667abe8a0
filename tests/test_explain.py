"""What explain and output_shape tell without data: the same as running, from shapes by position or by name."""

import numpy as np
import pytest
from memory import peak

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import algorithms
from pyconvx.functional.algorithms import CANDIDATES

SHAPES = (2, 20, 24, 16), (32, 3, 3, 16), (32,)
ALONE = {"depthwise", "dots", "fft"}  # those for groups of few filters


def test_shapes_may_be_named():
    want = cx.output_shape(cx.conv2d, *SHAPES, padding="same")
    x, filters, bias = SHAPES
    assert cx.output_shape(cx.conv2d, x=x, filters=filters, bias=bias, padding="same") == want
    assert cx.output_shape(cx.conv2d, x, filters=filters, padding="same") == want
    assert cx.output_shape(cx.conv2d, x, filters, bias=None, padding="same") == want
    assert cx.output_shape(cx.pool2d, size=2, x=x) == cx.output_shape(cx.pool2d, x, 2)
    assert cx.output_shape(cx.unpool1d, (3, 1), indices=(3, 1), output_shape=(6,)) == (6, 1)
    assert cx.output_shape(cx.pad, x=(2, 3), pad_width=1, mode="constant", value=7) == (4, 5)
    named = cx.explain(cx.conv2d, x=x, filters=filters, bias=bias)
    assert named == cx.explain(cx.conv2d, *SHAPES)


@pytest.mark.parametrize("tell", [cx.output_shape, cx.explain])
def test_wrong_shapes_are_refused_by_name(tell):
    x, filters, _ = SHAPES
    with pytest.raises(TypeError, match="filters"):
        tell(cx.conv2d, x)
    with pytest.raises(TypeError, match="bias must be given as a shape"):
        tell(cx.conv2d, x, filters, bias=3)
    with pytest.raises(TypeError, match="x must be given as a shape"):
        tell(cx.conv2d, x=np.ones(x), filters=filters)
    with pytest.raises(TypeError, match="stridden"):
        tell(cx.conv2d, x, filters, stridden=2)
    with pytest.raises(ValueError, match="bias"):
        tell(cx.conv2d, x, filters, bias=(31,))


@pytest.mark.parametrize("tell", [cx.output_shape, cx.explain, lambda f, *s, **o: f(*map(np.ones, s), **o)])
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [("depthwise", {}), ("winograd", {"stride": 3}), ("planes", {"stride": (1, 2)}), ("winograd", {"groups": 0})],
)
def test_an_algorithm_that_does_not_fit_is_refused_from_shapes_alone(tell, algorithm, options):
    with pytest.raises(ValueError, match=f"{algorithm}|groups"):
        tell(cx.conv2d, *SHAPES, algorithm=algorithm, **options)


@pytest.mark.parametrize("tell", [cx.output_shape, cx.explain])
@pytest.mark.parametrize("algorithm", ["auto", "winograd", "direct", "plain"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_telling_takes_no_memory_for_arrays(tell, algorithm, layout):
    """Arrays of these shapes take 64 MB and 2 MB."""
    shapes = (16, 128, 128, 64), (128, 3, 3, 64)
    if layout == "channels_first":
        shapes = (16, 64, 128, 128), (128, 64, 3, 3)
    assert peak(lambda: tell(cx.conv2d, *shapes, algorithm=algorithm, layout=layout, padding="same")) < 2**19


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_the_algorithm_explained_is_the_one_that_runs(candidate, monkeypatch):
    ran = []
    spied = tuple(
        each._replace(kernel=lambda problem, y, each=each: ran.append(each.name) or each.kernel(problem, y))
        for each in CANDIDATES
    )
    monkeypatch.setattr(algorithms, "CANDIDATES", spied)
    groups = 16 if candidate.name in ALONE else 1
    shapes = (20, 24, 16), (16, 3, 3, 16 // groups)
    for algorithm in ("auto", candidate.name):
        report = cx.explain(cx.conv2d, *shapes, groups=groups, algorithm=algorithm)
        ran.clear()
        _core.forget()
        cx.conv2d(*(np.ones(shape, np.float32) for shape in shapes), groups=groups, algorithm=algorithm)
        assert ran[0] == report.algorithm


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_the_scratch_explained_is_what_the_kernel_takes(candidate, threads, layout):
    groups = 16 if candidate.name in ALONE else 1
    shapes = (20, 24, 16), (16, 3, 3, 16 // groups)
    if layout == "channels_first":
        shapes = (16, 20, 24), (16, 16 // groups, 3, 3)
    mode = "reflect" if candidate.name == "runs" else "odd_reflect"
    options = dict(groups=groups, algorithm=candidate.name, padding="same", padding_mode=mode, layout=layout)
    with cx.threads(threads):
        report = cx.explain(cx.conv2d, *shapes, **options)
        plan = cx.conv2d.plan(*(np.ones(shape, np.float32) for shape in shapes), **options)
        y = plan.outline(candidate)
        assert report.scratch == candidate.kernel(plan.problem(), y).scratch > 0
    assert f"{report.scratch:,}" in str(report)
