"""scipy.ndimage.correlate, for one picture (or signal, or volume) and one filter. Imports scipy."""

from __future__ import annotations

from functools import partial

import numpy as np
import scipy
from scipy import ndimage

from ..tasks import Conv, Task
from . import Peer, Run

VERSION = scipy.__version__


class Scipy(Peer):
    def prepare(self, task: Task) -> Run | None:
        if not isinstance(task, Conv) or (picture := task.single_picture) is None:
            return None
        mode = {"zeros": "constant", "reflect": "mirror"}[task.padding_mode]
        call = partial(ndimage.correlate, *picture, output=np.dtype(task.dtype), mode=mode)
        return Run(call, lambda y: (y[None, ..., None],))


PEERS = (Scipy("scipy"),)
