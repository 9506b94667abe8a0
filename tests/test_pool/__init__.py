"""Pooling and unpooling: every registered kind against the reference, gradients, indices, ties, NaN."""
