"""The extension modules; everything else about the package stands in pyproject.toml.

_kernels.pyx is compiled once per instruction set, from one source, into a module of its own; the best one that the
processor can run is chosen at import.
"""

import os
import platform
import sys

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

CORE = "pyconvx/_core"
GNU = sys.platform != "win32"

# Without these gcc keeps errno and trap semantics that rule out vector code; no flag here changes a result or the
# floating-point state of the process (so never -ffast-math, and never a link flag).
FLAGS = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-fno-semantic-interposition"] if GNU else ["/O2"]
INSTRUCTION_SETS = {"baseline": []}
if GNU and platform.machine() in ("x86_64", "AMD64"):
    INSTRUCTION_SETS["baseline"] = ["-O2", "-ftree-vectorize"]  # for few processors: it is to be small
    INSTRUCTION_SETS["avx2"] = ["-mavx2", "-mfma"]
    INSTRUCTION_SETS["avx512"] = [
        "-mavx2",
        "-mfma",
        "-mavx512f",
        "-mavx512dq",
        "-mavx512bw",
        "-mavx512vl",
        "-mprefer-vector-width=512",
    ]

HEADERS = [f"{CORE}/{name}" for name in sorted(os.listdir(CORE)) if name.endswith((".h", ".pxi", ".pxd"))]


def extension(name: str, sources: list[str], flags: list[str] = FLAGS, numpy_api: str = "1_7") -> Extension:
    """One module of the core, made with a build folder of its own: several modules may share a source."""
    module = Extension(
        f"pyconvx._core.{name}",
        [f"{CORE}/{source}" for source in sources],
        depends=HEADERS,
        include_dirs=[CORE, numpy.get_include()],
        extra_compile_args=flags,
        extra_link_args=["-pthread"] if GNU else [],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
            *([("NPY_TARGET_VERSION", f"NPY_{numpy_api}_API_VERSION")] if numpy_api != "1_7" else []),
        ],
    )
    directives = {
        "language_level": 3,
        "boundscheck": False,
        "wraparound": False,
        "cdivision": True,
        "initializedcheck": False,
        "embedsignature": True,
    }
    made = cythonize([module], build_dir=f"build/cython/{name}", compiler_directives=directives)[0]
    made.extra_compile_args = flags  # cythonize adds those of other modules made from the same source
    return made


setup(
    options={"build_ext": {"parallel": True}},  # as many compilers as processors: some modules take minutes
    ext_modules=[
        extension("_calls", ["_calls.pyx"]),
        extension("_compiled", ["_compiled.pyx"]),
        extension("_cpu", ["_cpu.pyx"]),
        extension("_kernel", ["_kernel.pyx"]),
        extension("_memory", ["_memory.pyx"], numpy_api="1_22"),
        extension("_tables", ["_tables.pyx"]),
        extension("_threads", ["_threads.pyx", "pool.c"], [*FLAGS, *(["-pthread", "-std=gnu11"] if GNU else [])]),
        *(extension(f"_kernels_{name}", ["_kernels.pyx"], FLAGS + flags) for name, flags in INSTRUCTION_SETS.items()),
    ],
)
