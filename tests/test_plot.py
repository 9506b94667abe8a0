"""Pictures: each function draws on the axes it is given, or on a new figure, and refuses what it cannot show."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import pyconvx as cx
from pyconvx import plot

RANDOM = np.random.default_rng(0)
DRAWINGS = {
    plot.picture: RANDOM.random((6, 8, 3)),
    plot.feature_map: RANDOM.normal(size=(6, 8, 1)),
    plot.picture_filter: RANDOM.normal(size=(3, 3)),
    plot.feature_maps: RANDOM.normal(size=(6, 8, 4)),
    plot.feature_grid: RANDOM.normal(size=(6, 8, 5)),
    plot.filter_grid: RANDOM.normal(size=(4, 3, 3, 3)),
    plot.padding_photograph: RANDOM.random((6, 8, 3)),
    plot.pooling_before_after: RANDOM.normal(size=(6, 8)),
    partial(plot.sliding_filter, weights=[[0, 1], [1, -4]]): RANDOM.normal(size=(4, 5)),
    partial(plot.receptive_field, cx.Sequential(cx.Conv2D(2, 3), cx.MaxPool2D(2))): RANDOM.random((9, 9)),
}
drawings = pytest.mark.parametrize("draw", DRAWINGS, ids=lambda draw: getattr(draw, "func", draw).__name__)


@drawings
def test_makes_a_figure(draw):
    figure = draw(DRAWINGS[draw], title="a title")
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_title() == "a title"
    figure.draw_without_rendering()


@drawings
def test_draws_on_the_axes_it_is_given(draw):
    page = Figure()
    left, right = page.subplots(1, 2)
    assert draw(DRAWINGS[draw], ax=right) is page
    assert not left.images
    assert right.images or right.patches


@drawings
def test_returns_the_whole_figure_for_axes_in_a_subfigure(draw):
    page = Figure()
    axes = page.subfigures(1, 2)[1].subplots()
    assert draw(DRAWINGS[draw], ax=axes) is page


@drawings
def test_does_not_change_its_argument(draw):
    before = DRAWINGS[draw].copy()
    draw(DRAWINGS[draw])
    np.testing.assert_array_equal(DRAWINGS[draw], before)


@drawings
def test_draws_zeros_and_what_is_not_finite(draw):
    values = np.zeros_like(DRAWINGS[draw])
    draw(values).draw_without_rendering()
    values.flat[0] = np.nan
    draw(values).draw_without_rendering()


@drawings
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4, 5, 6), (0, 3), (2, 3, 0)])
def test_refuses_a_shape_it_cannot_show(draw, shape):
    with pytest.raises(ValueError, match=r"has shape \(.*must be|has shape \(.*is"):
        draw(np.zeros(shape))


def texts(figure):
    """All that is written on the axes of a figure, in the order in which it is drawn."""
    return [text.get_text().replace("\N{MINUS SIGN}", "-") for axes in figure.axes for text in axes.texts]


def test_a_strip_shows_what_pad_makes():
    modes = ["reflect", cx.padding("constant", value=7), "odd_reflect"]
    told = texts(plot.padding_strip(modes, n=3, before=2, after=4))
    for row, mode in enumerate(modes):
        *numbers, name = told[10 * row : 10 * row + 10]
        assert [float(number) for number in numbers] == cx.pad(np.arange(1.0, 4), (2, 4), mode).tolist()
        assert name == repr(mode).strip("'")
    with pytest.raises(ValueError, match="several axes"):
        plot.padding_strip("globe")


def test_numbers_are_legible_on_their_shades():
    """As far apart in lightness as WCAG asks of large text, 3 to 1, whatever the mode makes of the elements."""
    figure = plot.padding_strip(["odd_reflect", "odd_symmetric", "edge"], n=5, before=4, after=4)
    (axes,) = figure.axes
    rows = {round(image.get_extent()[2] - 0.4): image for image in axes.images}
    for text in axes.texts:
        column, row = text.get_position()
        if column >= 0:
            image = rows[row]
            shade = image.cmap(image.norm(image.get_array()[0, round(column)]))
            light, dark = sorted(map(luminance, (shade, to_rgba(text.get_color()))), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3, text.get_text()


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize(
    ("mode", "width", "shape"), [("globe", None, (8, 12, 3)), (("edge", "wrap"), (1, 2), (8, 12, 3))]
)
def test_a_photograph_is_framed_by_its_padding(mode, width, shape):
    image = RANDOM.random(shape)
    figure = plot.padding_photograph(image, mode, width=width)
    shown = figure.axes[0].images[0].get_array()
    pads = {0: 2, 1: 4} if width is None else {0: 1, 1: 2}
    assert np.allclose(shown, cx.pad(image, pads, mode if width is None else (*mode, "zeros")))


def test_poolings_are_shown_with_their_numbers():
    x = np.arange(16.0).reshape(4, 4)
    told = texts(plot.pooling_before_after(x, 2, ["max", cx.pooling("lp", p=2.0)]))
    assert told[0] == "before, 4 \N{MULTIPLICATION SIGN} 4"
    at = told.index("max, 2 \N{MULTIPLICATION SIGN} 2")
    assert [float(each) for each in told[at + 1 : at + 5]] == [5, 7, 13, 15]


def test_receptive_fields_have_the_sizes_of_the_summary():
    net = cx.Sequential(cx.Conv2D(4, 5, padding="same"), cx.MaxPool2D(2), cx.Conv2D(4, 3, dilation=2), cx.GlobalPool())
    figure = plot.receptive_field(net, RANDOM.random((32, 32)))
    labels = texts(figure)
    fields = [row[4].replace("x", "\N{MULTIPLICATION SIGN}") for row in cx.nn.summary(net, (32, 32, 1)).rows[:3]]
    assert labels == [f"{name}: {field}" for name, field in zip(("Conv2D", "MaxPool2D", "Conv2D"), fields, strict=True)]
    boxes = [patch for patch in figure.axes[0].patches if not patch.get_label().startswith("_")]
    assert sorted(box.get_width() for box in boxes) == sorted(int(field.split()[0]) for field in fields)
    with pytest.raises(ValueError, match="place must be inside"):
        plot.receptive_field(net, RANDOM.random((32, 32)), place=(99, 0))
    with pytest.raises(ValueError, match="begins with no layer of windows"):
        plot.receptive_field(cx.Sequential(cx.Flatten()), RANDOM.random((8, 8)))


def test_a_curve_and_its_derivative():
    lines = plot.activation_curve("tanh", low=-2, high=2).axes[0].lines[2:]
    x, y = lines[0].get_data()
    assert np.allclose(y, np.tanh(x))
    assert np.allclose(lines[1].get_ydata(), 1 - np.tanh(x) ** 2)
    with cx.activations.temporarily("halve", lambda x: x / 2):
        assert len(plot.activation_curve("halve").axes[0].lines) == 3
    with pytest.raises(ValueError, match="mixes the elements"):
        plot.activation_curve("softmax")


def test_training_curves_show_the_history():
    history = cx.nn.History(
        loss=[2.0, 1.0], accuracy=[0.5, 0.7], validation_loss=[2.5, 3.0], validation_accuracy=[0.4, 0.3]
    )
    figure = history.plot()
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines] == [[2.0, 1.0], [2.5, 3.0]]
    assert figure.axes[1].collections[0].get_offsets().tolist() == [[1, 0.4]]
    page = Figure()
    assert history.plot(what="accuracy", ax=page.subplots()) is page
    for wrong, message in ((cx.nn.History(), "no epoch"), (cx.nn.History(loss=[1.0]), "no accuracy")):
        with pytest.raises(ValueError, match=message):
            wrong.plot(what="accuracy")


def test_a_confusion_matrix_counts():
    figure = plot.confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2], names=["cat", "dog", "cow"])
    assert figure.axes[0].images[0].get_array().tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]]
    assert texts(figure) == ["1", "1", "1", "1"]
    for labels, predicted in (([0, 1], [0]), ([0.5], [0.5]), ([-1], [0]), ([3], [0]), ([], [])):
        with pytest.raises(ValueError, match="labels"):
            plot.confusion_matrix(labels, predicted, names=["cat", "dog", "cow"])


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_a_network_is_drawn_with_its_shapes(layout):
    options = {"layout": layout}
    net = cx.Sequential(
        cx.Conv2D(6, (5, 3), **options),
        cx.BatchNorm(**options),
        cx.Activation("relu", **options),
        cx.Residual(cx.Conv2D(6, 1, **options)),
        cx.Sequential(cx.Flatten(), cx.Dense(10, activation="softmax")),
    )
    shape = (32, 32, 3) if layout == "channels_last" else (3, 32, 32)
    times = "\N{MULTIPLICATION SIGN}"
    told = [text for text in texts(plot.network(net, shape, title="net")) if text]
    assert told[::2][:3] == [f"32 {times} 32 {times} 3", f"28 {times} 30 {times} 6", "5040"]
    assert f"Conv2D 5{times}3\nBatchNorm\nrelu\nResidual" in told
    assert told[-2:] == ["10", "Dense, softmax"]


@pytest.mark.parametrize("options", [{}, {"padding": "same", "padding_mode": "reflect"}, {"stride": 2, "dilation": 2}])
def test_a_sliding_filter_shows_the_convolution(options):
    x, weights = RANDOM.integers(0, 9, (5, 6)).astype(float), np.array([[1.0, 0], [2, -3]])
    y = cx.conv2d(x[..., None], weights[None, ..., None], **options)[..., 0]
    told = texts(plot.sliding_filter(x, weights, **options))
    assert [float(each) for each in told[-1 - y.size : -1]] == [float(f"{each:.2g}") for each in y.ravel()]
    assert len(texts(plot.sliding_filter(x, weights, step=0, **options))) == len(told) - y.size + 1
    with pytest.raises(ValueError, match="step must be in"):
        plot.sliding_filter(x, weights, step=y.size, **options)


def test_an_animation_has_a_frame_for_each_window(tmp_path):
    from PIL import Image

    path = plot.animate_sliding_filter(tmp_path / "a.gif", np.eye(3), np.ones((2, 2)), seconds=0.2, title="sums")
    with Image.open(path) as image:
        assert image.n_frames == 4
        assert image.info["duration"] == 200
    with pytest.raises(ValueError, match=r"\.gif"):
        plot.animate_sliding_filter(tmp_path / "a.png", np.eye(3), np.ones((2, 2)))
    with pytest.raises(ValueError, match="at most 16"):
        plot.sliding_filter(np.eye(20), np.ones((2, 2)))


def test_what_is_far_longer_than_wide_stays_a_picture():
    for figure in (
        cx.plot.feature_grid(np.ones((1, 5000, 2))),
        cx.plot.feature_grid(np.ones((5000, 1, 2))),
        cx.plot.feature_maps(np.ones((4, 4, 60))),
    ):
        assert all(0.5 <= inches <= 41 for inches in figure.get_size_inches())
    with pytest.raises(ValueError, match="columns"):
        cx.plot.feature_grid(np.ones((4, 4, 2)), columns=-1)
    with pytest.raises(ValueError, match="at most 200 classes"):
        cx.plot.confusion_matrix([0, 10**6], [0, 1])
    pixels = cx.plot.picture(np.full((2, 2), 65535, np.uint16)).axes[0].images[0].get_array()
    assert (np.asarray(pixels) == 1).all()


RESIDUALS = cx.Sequential(
    cx.Conv2D(64, 7, stride=2, padding=3, activation="relu"),
    *[cx.Residual(cx.Conv2D(64, 3, padding="same")) for _ in range(3)],
    cx.Conv2D(128, 3, stride=2, padding=1),
    cx.GlobalPool(),
    cx.Dense(1000, activation="softmax"),
)
TWELVE = cx.Sequential(*[cx.Conv2D(4, 3, padding="same") for _ in range(12)])
PIXELS = RANDOM.integers(0, 256, (5, 5))
WRITTEN = {
    "pixels": partial(plot.sliding_filter, PIXELS, np.ones((3, 3)), padding="same"),
    "one step over pixels": partial(plot.sliding_filter, PIXELS, np.ones((3, 3)), padding="same", step=7),
    "fractions": partial(plot.sliding_filter, RANDOM.normal(size=(5, 5)), -0.057 * RANDOM.random((3, 3))),
    "one by one": partial(plot.sliding_filter, [[1000.0]], [[-1e-9]]),
    "pooled 6 x 6": partial(plot.pooling_before_after, RANDOM.normal(size=(6, 6)), 2),
    "pooled 8 x 8": partial(plot.pooling_before_after, RANDOM.normal(size=(8, 8)), 2, ["max", "avg", "median"]),
    "pooled 2 x 8": partial(plot.pooling_before_after, RANDOM.normal(size=(2, 8)), 2),
    "a strip": plot.padding_strip,
    "a strip of fractions": partial(plot.padding_strip, [cx.padding("constant", value=-1.25)]),
    "a strip with a long name": partial(plot.padding_strip, [cx.padding("constant", value=-1000 * np.pi), "edge"]),
    "a filter": partial(plot.picture_filter, RANDOM.normal(size=(7, 7)), numbers=True),
    "many maps": partial(plot.feature_grid, RANDOM.normal(size=(3, 9, 60))),
    "convolutions": partial(plot.network, RESIDUALS, (512, 512, 3)),
    "dense layers": partial(
        plot.network,
        cx.Sequential(
            cx.Dense(1024, activation="leaky_relu"),
            cx.Dense(1024, activation="leaky_relu"),
            cx.Dense(10, activation="log_softmax"),
        ),
        (784,),
    ),
    "one dense layer": partial(plot.network, cx.Dense(2, activation="log_softmax"), (1,)),
    "receptive fields": partial(plot.receptive_field, TWELVE, RANDOM.random((64, 64))),
    "receptive fields in a low image": partial(plot.receptive_field, TWELVE, RANDOM.random((30, 90, 3))),
    "counts": partial(plot.confusion_matrix, RANDOM.integers(0, 4, 10**6), RANDOM.integers(0, 4, 10**6)),
}
written = pytest.mark.parametrize("draw", WRITTEN.values(), ids=WRITTEN)


def boxes(figure):
    """(text, its box in pixels) of all that is written on the axes of a figure, which are drawn first."""
    figure.draw_without_rendering()
    return [(text, text.get_window_extent()) for axes in figure.axes for text in axes.texts if text.get_text()]


def assert_legible(figure):
    """Nothing that is written runs over what is written beside it, or out of the figure."""
    told = boxes(figure)
    for (one, box), (other, beside) in combinations(told, 2):
        assert not box.overlaps(beside), (one, other)
    for text, box in told:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1, text


@written
def test_texts_are_apart(draw):
    figure = draw(title="a title")
    assert_legible(figure)
    title = figure.axes[0].title.get_window_extent()
    assert not any(box.overlaps(title) for _, box in boxes(figure))


@written
@pytest.mark.parametrize("width", [2.0, 3.0])
def test_texts_follow_the_axes(draw, width):
    page = plot.new_figure(8, 8)
    draw(ax=page.add_axes((0.02, 0.02, 0.96, 0.96)))
    page.set_size_inches(width, width)
    assert_legible(page)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (144, "144"),
        (-65025, "-65025"),
        (144.4, "144"),
        (-1234.6, "-1235"),
        (3.25, "3.25"),
        (-0.0567, "-0.0567"),
        (5.6e-7, "5.6e-7"),
        (-1234567, "-1.23e6"),
        (-0.0, "0"),
        (np.inf, "inf"),
        (np.nan, "nan"),
    ],
)
def test_numbers_are_right_to_a_few_digits(number, told):
    assert texts(plot.picture_filter([[number]], numbers=True)) == [told]


def test_numbers_are_within_their_cells():
    figure = WRITTEN["pixels"]()
    numbers = [(text, box) for text, box in boxes(figure) if text.get_text()[0].isdigit()]
    cells = [patch.get_window_extent() for patch in figure.axes[0].patches if patch.get_width() == 1]
    for text, box in numbers:
        assert any(
            cell.x0 <= box.x0 and box.x1 <= cell.x1 and cell.y0 <= box.y0 and box.y1 <= cell.y1 for cell in cells
        ), text


@pytest.mark.parametrize(
    ("draw", "points"),
    [
        (partial(plot.sliding_filter, PIXELS % 10, cx.filters["sharpen"](), padding="same"), {7, 8, 15}),
        (partial(plot.pooling_before_after, (PIXELS % 10)[:4, :4], 2), {6.5, 8.5}),
        (plot.padding_strip, {8.5}),
        (partial(plot.picture_filter, cx.filters["sobel_x"]()), {8.5}),
    ],
    ids=["sliding", "pooling", "strip", "filter"],
)
def test_small_integers_are_written_in_full_size(draw, points):
    assert {text.get_fontsize() for text, _ in boxes(draw())} == points


def test_numbers_keep_their_size_while_a_filter_slides():
    pages = [plot.new_figure(2, 2) for _ in range(2)]
    for step, page in enumerate(pages):  # the longest number, 15129, is the last one
        plot.sliding_filter([[0, 123]], [[123]], step=step, ax=page.subplots())
    first, last = ({text.get_fontsize() for text, _ in boxes(page)} for page in pages)
    assert first == last


@pytest.mark.parametrize(
    "names", [None, ["setosa", "versicolor", "virginica"], ["a", "b", "a very long name of a class"]]
)
@pytest.mark.parametrize("title", ["", "a title"])
def test_a_confusion_matrix_is_within_its_figure(names, title):
    figure = plot.confusion_matrix([0, 1, 2], [0, 2, 2], names=names, title=title)
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert 0 <= box.x0 < box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height


@pytest.mark.parametrize("ax", [None, plot.new_figure(2.5, 2.5).add_axes((0, 0, 1, 1))], ids=["figure", "axes"])
def test_the_key_of_receptive_fields_is_beside_the_image(ax):
    figure = plot.receptive_field(TWELVE, RANDOM.random((64, 64)), ax=ax)
    key = boxes(figure)
    image = figure.axes[0].images[0].get_window_extent()
    assert [text.get_text()[:6] for text, _ in key] == ["Conv2D"] * 12
    assert all(box.x0 > image.x1 for _, box in key)


def test_one_epoch_is_a_whole_one():
    for axes in cx.nn.History(loss=[2.0], accuracy=[0.5]).plot().axes:
        axes.figure.draw_without_rendering()
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


@pytest.mark.parametrize("draw", [plot.feature_map, plot.picture_filter, plot.feature_maps, plot.feature_grid])
def test_what_is_not_finite_has_a_colour_of_its_own(draw):
    values = np.array([[np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0]])
    image = draw(values if draw in (plot.feature_map, plot.picture_filter) else values[..., None]).axes[0].images[0]
    nan, *infinite, zero, one, minus = map(tuple, image.to_rgba(image.get_array())[0].tolist())
    assert infinite == [nan, nan]
    assert nan[3] == 1
    assert nan == to_rgba("#9e9e9e")
    assert len({nan, zero, one, minus}) == 4


def test_poolings_are_named_with_their_parameters():
    def names(*arguments, **options):
        told = texts(plot.pooling_before_after(np.ones((9, 9)), 3, *arguments, **options))
        return [text.rpartition(",")[0] for text in told if "," in text]

    assert names(["max", "avg", cx.pooling("percentile", q=10)]) == ["before", "max", "avg", "percentile(q=10)"]
    assert names("percentile", q=20, padding="same") == ["before", "percentile(q=20)"]
    assert names(cx.pooling("avg", count_include_pad=True)) == ["before", "avg(count_include_pad=True)"]


@pytest.mark.parametrize("watched", [True, False])
def test_the_ring_says_what_it_marks(watched):
    history = cx.nn.History(loss=[3.0, 2.0, 1.0], accuracy=[0.1, 0.2, 0.3])
    if watched:
        history.validation_loss, history.validation_accuracy = [3.0, 1.0, 2.0], [0.1, 0.2, 0.9]
    for axes in plot.training_curves(history).axes:
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels[-1] == ("lowest validation loss" if watched else "lowest training loss")
