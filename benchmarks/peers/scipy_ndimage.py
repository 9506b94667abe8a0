"""scipy.ndimage.correlate, for one picture (or signal, or volume) and one filter. Imports scipy."""

from __future__ import annotations

from functools import partial

import numpy as np
import scipy
from scipy import ndimage

from ..tasks import Array, Conv, Task
from . import Peer, Run

VERSION = scipy.__version__


def single_picture(task: Task) -> tuple[Array, Array] | None:
    """x and filter without channels, if that is all there is and the result has the size of x."""
    if not isinstance(task, Conv) or task.backward or task.bias or task.activation:
        return None
    single = task.x[0] == task.x[-1] == task.filters[0] == task.filters[-1] == 1
    plain = {*task.per_axis(task.stride), *task.per_axis(task.dilation), task.groups} == {1}
    odd = all(k % 2 for k in task.kernel)
    if not (single and plain and odd and task.y == task.x):
        return None
    return task.arrays[0][0, ..., 0], task.arrays[1][0, ..., 0]


class Scipy(Peer):
    def prepare(self, task: Task) -> Run | None:
        picture = single_picture(task)
        if picture is None or not isinstance(task, Conv):
            return None
        mode = {"zeros": "constant", "reflect": "mirror"}[task.padding_mode]
        call = partial(ndimage.correlate, *picture, output=np.dtype(task.dtype), mode=mode)
        return Run(call, lambda y: (y[None, ..., None],))


PEERS = (Scipy("scipy"),)
