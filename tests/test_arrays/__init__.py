"""What every operation promises about memory: how its arguments lie there, `out`, fresh results, threads.

Bits are compared, not values: the promise is that nothing of this makes any difference.
"""
