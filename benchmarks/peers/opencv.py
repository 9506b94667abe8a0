"""OpenCV's filter2D, for one picture and one filter. Imports cv2."""

from __future__ import annotations

from functools import partial

import cv2

from ..tasks import Conv, Task
from . import Peer, Run

VERSION = cv2.__version__


class OpenCV(Peer):
    def set_threads(self, threads: int) -> None:
        super().set_threads(threads)
        cv2.setNumThreads(threads)

    def prepare(self, task: Task) -> Run | None:
        if not isinstance(task, Conv) or task.rank != 2 or (picture := task.single_picture) is None:
            return None
        border = {"zeros": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101}[task.padding_mode]
        call = partial(cv2.filter2D, picture[0], -1, picture[1], borderType=border)
        return Run(call, lambda y: (y[None, ..., None],))


PEERS = (OpenCV("cv2"),)
