"""Cases 66 and 67: variables of the environment, read by a fresh interpreter."""

from .table import TABLE, Case

THREADS = """
import warnings
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import numpy as np
    import pyconvx as cx
    threads = cx.num_threads()
    y = cx.conv2d(np.ones((1, 8, 8, 1), np.float32), np.ones((1, 3, 3, 1), np.float32))
messages = [str(warning.message) for warning in seen]
assert any("PYCONVX_NUM_THREADS" in message and {value!r} in message for message in messages), messages
assert len(messages) == 1, messages
assert isinstance(threads, int) and 1 <= threads < 10**6, threads
assert (y == 9).all()
"""
FINE = """
import warnings
warnings.simplefilter("error")
import pyconvx as cx
assert cx.num_threads() {expected}, cx.num_threads()
"""
for value in ("abc", "-1", str(10**6), "0", "1.5", str(10**30)):
    TABLE.append(
        Case(
            f"66 PYCONVX_NUM_THREADS={value}",
            script=THREADS.format(value=value),
            environment={"PYCONVX_NUM_THREADS": value},
        )
    )
for value, expected in (("1", "== 1"), ("", ">= 1")):
    TABLE.append(
        Case(
            f"66 PYCONVX_NUM_THREADS={value!r} is fine",
            script=FINE.format(expected=expected),
            environment={"PYCONVX_NUM_THREADS": value},
        )
    )

ISA = """
try:
    import pyconvx
except (ValueError, ImportError) as error:
    message = str(error)
    for part in ("PYCONVX_ISA", {value!r}, "baseline"):
        assert part in message, message
else:
    raise AssertionError("import worked")
"""
for value in ("nonsense", "AVX-2", "avx3", "0"):
    TABLE.append(Case(f"67 PYCONVX_ISA={value}", script=ISA.format(value=value), environment={"PYCONVX_ISA": value}))
TABLE.append(
    Case(
        "67 PYCONVX_ISA=baseline is fine",
        environment={"PYCONVX_ISA": "baseline"},
        script="""
import numpy as np
import pyconvx as cx
assert (cx.conv2d(np.ones((1, 8, 8, 1), np.float32), np.ones((1, 3, 3, 1), np.float32)) == 9).all()
""",
    )
)
