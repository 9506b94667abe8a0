"""Files that several commands are given."""

import json

import numpy as np
import pytest

from .command import NET
from .pictures import Image


@pytest.fixture
def files(tmp_path):
    """A configuration and data: dark and bright pictures."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    pictures = random.random((60, 5, 5, 1)) * 0.3 + 0.6 * labels[:, None, None, None]
    np.savez(tmp_path / "data.npz", x=pictures.astype(np.float32), y=labels)
    (tmp_path / "net.json").write_text(json.dumps(NET))
    Image.fromarray(np.full((5, 5), 250, np.uint8)).save(tmp_path / "bright.png")
    return tmp_path
