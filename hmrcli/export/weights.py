"""Skin weights as graphics cards take them: four for each vertex."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.body import BodyModel

WEIGHTS = 4
"""Joints that move a vertex at most, the most that viewers agree on."""


class Weights(NamedTuple):
    """What moves each of a body's V vertices."""

    joints: NDArray[np.uint8]
    """(V, 4) joints, the strongest first; 0 where there is none."""
    shares: NDArray[np.float32]
    """(V, 4) their weights, which sum to 1."""


def strongest_weights(body: BodyModel) -> Weights:
    """Returns the four strongest weights of each vertex; the open body and SMPL have no more."""
    weights = body.weights.cpu().numpy()
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :WEIGHTS]
    shares = np.take_along_axis(weights, joints, 1)
    shares = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    return Weights(np.where(shares > 0, joints, 0).astype(np.uint8), shares)
