"""The demonstration's numbers are those of the tutorial, and its picture can be read."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pyconvx import demo


@pytest.fixture(scope="module")
def photo():
    return demo.photograph()


@pytest.fixture(scope="module")
def example(photo):
    return demo.worked_example(photo)


def test_photograph(photo):
    assert photo.shape == (224, 224, 3)
    assert photo.dtype == np.float32
    assert 0 <= photo.min() < 0.1
    assert 0.8 < photo.max() <= 1


def test_worked_example_has_the_tutorials_shapes_and_counts(example):
    assert example.image.shape == (32, 32, 3)
    assert example.filters.shape == (6, 5, 5, 3)
    assert example.maps.shape == (32, 32, 6)
    assert example.max_pooled.shape == example.avg_pooled.shape == (16, 16, 6)
    assert example.parameters == 456
    assert example.dense_parameters == 18_880_512


def test_worked_example_is_what_plain_loops_give(example):
    padded = np.pad(example.image.astype(np.float64), ((2, 2), (2, 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(0, 1))  # (32, 32, 3, 5, 5)
    expected = np.maximum(np.einsum("hwcij,fijc->hwf", windows, example.filters), 0)
    np.testing.assert_allclose(example.maps, expected, atol=1e-5)
    squares = example.maps.reshape(16, 2, 16, 2, 6)
    np.testing.assert_array_equal(example.max_pooled, squares.max(axis=(1, 3)))
    np.testing.assert_allclose(example.avg_pooled, squares.mean(axis=(1, 3)), atol=1e-6)


def test_every_feature_map_shows_something(example):
    inside = example.maps[2:-2, 2:-2]
    assert np.all(np.ptp(inside, axis=(0, 1)) > 0.1)


def test_no_text_of_the_picture_touches_another_or_the_rim(photo, example):
    figure = demo.draw(photo, example)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    assert len(boxes) > 40
    page = figure.bbox
    for k, box in enumerate(boxes):
        assert page.x0 < box.x0 < box.x1 < page.x1
        assert page.y0 < box.y0 < box.y1 < page.y1
        for other in boxes[:k]:
            assert not box.overlaps(other)


def test_no_text_of_the_page_lies_on_a_picture(photo, example):
    figure = demo.draw(photo, example)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    pictures = [axes.get_window_extent(renderer) for axes in figure.axes]
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert not any(box.overlaps(picture) for picture in pictures), text.get_text()


def test_the_same_input_gives_the_same_file(tmp_path):
    texts = [demo.write(tmp_path / name) for name in ("a.png", "b.png")]
    assert texts[0] == texts[1]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
