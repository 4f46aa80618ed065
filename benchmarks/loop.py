"""PA-MPJPE as published evaluations write it: one sample at a time, by singular value decomposition."""

import numpy as np
from numpy.typing import NDArray


def aligned(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.floating]:
    """Moves (J, 3) source onto (J, 3) target by the least-squares similarity."""
    centered, wanted = source - source.mean(0), target - target.mean(0)
    correlation = centered.T @ wanted
    left, _, right = np.linalg.svd(correlation)
    mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = right.T @ mirror @ left.T
    spread = (centered**2).sum()
    scale = np.trace(rotation @ correlation) / spread if spread else 0.0
    return scale * centered @ rotation.T + target.mean(0)


def pa_mpjpe_loop(pred: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.floating]:
    """Gives the mean error of each sample, (N, J, 3) to (N,)."""
    return np.array([np.linalg.norm(aligned(p, t) - t, axis=1).mean() for p, t in zip(pred, target)])
