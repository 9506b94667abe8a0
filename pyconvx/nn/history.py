"""What training came to, epoch by epoch. Imports pictures when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["History"]


@dataclass
class History:
    """What each epoch came to: one number per epoch in every list, or none where it was not measured.

    accuracy: the share of right labels, where targets are labels. seconds: of training alone.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many there have been."""
        return len(self.loss)

    @property
    def best(self) -> int:
        """The epoch, counted from 0, with the least loss in validation, or in training if there was none.

        A loss that is no number is no least one. Raises ValueError before the first epoch.
        """
        values = self.validation_loss or self.loss
        if not values:
            raise ValueError("there has been no epoch yet")
        return int(np.argmin(np.where(np.isnan(values), np.inf, values)))

    def plot(self, *, what: str | None = None, ax: Any = None) -> Any:
        """A Figure of its curves, as `cx.plot.training_curves` draws them. Needs matplotlib."""
        from ..plot import training_curves

        return training_curves(self, what=what, ax=ax)

    def line(self) -> str:
        """The last epoch in words."""
        if not self.loss:
            return "no epoch yet"
        told = [f"epoch {self.epochs}", f"loss {self.loss[-1]:.4f}"]
        if self.accuracy:
            told.append(f"accuracy {self.accuracy[-1]:.4f}")
        if self.validation_loss:
            told.append(f"validation loss {self.validation_loss[-1]:.4f}")
        if self.validation_accuracy:
            told.append(f"validation accuracy {self.validation_accuracy[-1]:.4f}")
        return ", ".join(told) + f", {self.seconds[-1]:.1f} s"
