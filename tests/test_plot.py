"""Pictures: each function draws on the axes it is given, or on a new figure, and refuses what it cannot show."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from pyconvx import plot

RANDOM = np.random.default_rng(0)
DRAWINGS = {
    plot.picture: RANDOM.random((6, 8, 3)),
    plot.feature_map: RANDOM.normal(size=(6, 8, 1)),
    plot.picture_filter: RANDOM.normal(size=(3, 3)),
    plot.feature_maps: RANDOM.normal(size=(6, 8, 4)),
}
pytestmark = pytest.mark.parametrize("draw", DRAWINGS, ids=lambda draw: draw.__name__)


def test_makes_a_figure(draw):
    figure = draw(DRAWINGS[draw], title="a title")
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_title() == "a title"
    figure.canvas.draw()


def test_draws_on_the_axes_it_is_given(draw):
    page = Figure()
    left, right = page.subplots(1, 2)
    assert draw(DRAWINGS[draw], ax=right) is page
    assert not left.images
    assert right.images


def test_returns_the_whole_figure_for_axes_in_a_subfigure(draw):
    page = Figure()
    axes = page.subfigures(1, 2)[1].subplots()
    assert draw(DRAWINGS[draw], ax=axes) is page


def test_does_not_change_its_argument(draw):
    before = DRAWINGS[draw].copy()
    draw(DRAWINGS[draw])
    np.testing.assert_array_equal(DRAWINGS[draw], before)


def test_draws_zeros_and_what_is_not_finite(draw):
    values = np.zeros_like(DRAWINGS[draw])
    draw(values).canvas.draw()
    values.flat[0] = np.nan
    draw(values).canvas.draw()


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4, 5), (0, 3), (2, 3, 0)])
def test_refuses_a_shape_it_cannot_show(draw, shape):
    with pytest.raises(ValueError, match=r"has shape \(.*must be|has shape \(.*is"):
        draw(np.zeros(shape))
