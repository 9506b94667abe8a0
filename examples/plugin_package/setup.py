"""The compiled half of the package."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

import pyconvx

include_path = [str(Path(pyconvx.__file__).parent.parent)]

setup(
    ext_modules=cythonize(
        [Extension("waves._kernels", ["waves/_kernels.pyx"], extra_compile_args=["-O3"])],
        include_path=include_path,
        compiler_directives={"boundscheck": False, "wraparound": False, "cdivision": True, "language_level": 3},
    )
)
