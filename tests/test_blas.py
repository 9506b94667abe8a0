"""Products on one thread: that they are products, and that nobody else notices."""

import os
import sys
import threading

import numpy as np
import pytest

from pyconvx.nn import blas

GET = blas._threads.found()[0]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1, 1), (0, 3, 4), (3, 0, 4), (128, 300, 24), (700, 700, 700)])
def test_it_is_the_product(shape):
    a, b = RNG.standard_normal(shape[:2]), RNG.standard_normal(shape[1:])
    np.testing.assert_allclose(blas.product(a, b), a @ b, atol=1e-9)


def test_the_number_of_threads_is_as_before_however_many_ask():
    before, seen = GET(), []
    a = RNG.standard_normal((200, 300))

    def work():
        for _ in range(50):
            blas.product(a, a.T)
        with blas._threads:
            seen.append(GET())

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(seen) == {1}
    assert GET() == before
    assert blas._threads.users == 0


def test_an_error_leaves_it_as_it_was():
    before = GET()
    with pytest.raises(ValueError, match="matmul"):
        blas.product(np.ones((100, 100)), np.ones((99, 100)))
    assert GET() == before
    assert blas._threads.users == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_child_forked_in_the_middle_has_all_threads_again():
    before = GET()
    with blas._threads:
        child = os.fork()
        if child == 0:
            good = GET() == before and blas._threads.users == 0
            blas.product(np.ones((100, 100)), np.ones((100, 100)))
            os._exit(0 if good and GET() == before else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert GET() == before


def test_another_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "NAMES", ("no_such_{}_function",))
    threads = blas._Threads()
    with threads:
        assert threads.calls is blas.LEFT_ALONE
    assert "ctypes" in sys.modules
