"""Comparison with PyTorch, where it is installed: random configurations, forward and gradients.

Both are compared with PyTorch in float64. The bound is derived, not chosen: a result that is a sum of n
products, in any order and with or without fused multiply-adds, is within gamma(n) = n u / (1 - n u) times the
sum of the absolute products of the exact one (Higham, Accuracy and Stability of Numerical Algorithms, section
3.1), u being the unit roundoff. Convolution and average pooling are linear in each argument, so the same
PyTorch expression tells both numbers: on absolute values it gives the sum of absolute products, on ones n.

`pytest -s` prints the number of configurations and the worst error as a fraction of its bound.
"""
