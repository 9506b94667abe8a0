"""The laws that pyconvx holds plugins to, each as a test of its own, and one example of each plugin."""

import numpy as np

import pyconvx as cx

test_antiperiodic = cx.testing.law_tests("waves:antiperiodic")
test_snake = cx.testing.law_tests(cx.activation("waves:snake", a=0.5))
test_rms = cx.testing.law_tests("waves:rms")


def test_names_are_known_without_an_import():
    assert cx.pad([1.0, 2.0], (0, 2), "waves:antiperiodic").tolist() == [1, 2, -1, -2]
    assert cx.activate([0.0], "waves:snake").tolist() == [0]
    assert cx.pool1d(np.array([[3.0], [4.0]]), 2, "waves:rms")[0, 0] == np.sqrt(12.5)


def test_snake_in_a_convolution():
    x = np.random.default_rng(0).standard_normal((9, 9, 3)).astype(np.float32)
    filters = np.ones((4, 3, 3, 3), np.float32)
    snake = cx.activation("waves:snake", a=2.0)
    y, want = cx.conv2d(x, filters, activation=snake), cx.conv2d(x, filters)
    np.testing.assert_allclose(y, want + np.sin(2 * want) ** 2 / 2, rtol=1e-5, atol=1e-5)
