"""The compiled half of the package."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    ext_modules=cythonize(
        [Extension("waves._kernels", ["waves/_kernels.pyx"], extra_compile_args=["-O3"])],
        compiler_directives={"boundscheck": False, "wraparound": False, "cdivision": True, "language_level": 3},
    )
)
