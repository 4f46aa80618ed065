"""Sparse, non-negative regressors that read joints off the mesh, fitted to sampled people."""

import numpy as np
from body_pose import MIRROR, PARENTS, SWAP
from makehuman import Array, Index
from numpy.typing import NDArray
from scipy.optimize import nnls

MOST_CANDIDATES = 400


def _spread(points: Array, count: int, first: int) -> Index:
    """`count` points far from each other (farthest point sampling)."""
    chosen = [first]
    distance = np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def fit_row(people: Array, joint: Array, allowed: NDArray[np.bool_]) -> Array:
    """Weights of the vertices whose mean follows a joint over many people.

    Args:
        people: (N, V, 3) vertices in T-pose.
        joint: (N, 3) where the joint is.
        allowed: (V,) whether a vertex may take part.

    Returns:
        (V,) non-negative weights that sum to 1, mostly zero.
    """
    mean = people.mean(0)
    distance = np.where(allowed, np.linalg.norm(mean - joint.mean(0), axis=1), np.inf)
    radius = max(0.11, 2.2 * np.sort(distance)[60])
    candidates = np.flatnonzero(distance < radius)
    if len(candidates) > MOST_CANDIDATES:
        first = int(distance[candidates].argmin())
        candidates = candidates[_spread(mean[candidates], MOST_CANDIDATES, first)]
    unit_sum = 10.0  # how strongly the weights must sum to 1, against errors in metres
    equations = people[:, candidates].transpose(0, 2, 1).reshape(-1, len(candidates))
    solution, _ = nnls(
        np.vstack([equations, np.full(len(candidates), unit_sum)]),
        np.append(joint.reshape(-1), unit_sum),
        maxiter=20000,
    )
    solution[solution < 1e-4] = 0
    row = np.zeros(people.shape[1])
    row[candidates] = solution / solution.sum()
    return row


def joint_regressor(people: Array, joints: Array, weights: Array, mirror: Index) -> Array:
    """(24, V) for SMPL's joints; the right side mirrors the left.

    Args:
        people: (N, V, 3); joints: (N, 24, 3).
        weights: (V, 24) skin weights, which limit a joint to the skin of its own and neighbouring bones.
    """
    regressor = np.zeros((24, people.shape[1]))
    for joint, parent in enumerate(PARENTS):
        if SWAP[joint] < joint:
            regressor[joint] = regressor[SWAP[joint]][mirror]
            continue
        near = [joint, max(parent, 0), *(j for j, p in enumerate(PARENTS) if p == joint)]
        row = fit_row(people, joints[:, joint], weights[:, near].sum(1) > 0.3)
        regressor[joint] = row if SWAP[joint] > joint else (row + row[mirror]) / 2
    return regressor


def data_set_regressors(
    people: Array, bones: dict[str, Array], weights: Array, mirror: Index, joints: Array
) -> tuple[Array, Array]:
    """Joints as data sets define them, from anatomy: Human3.6M's 17 and the nine extra of smpl_54.

    Hips, knees, shoulders and so on are SMPL's (they come from MakeHuman's joint centres). The pelvis of
    these sets is the middle of the hips, the thorax the middle of the shoulders, the head the middle of the
    skull, and the top of the head the mean of the skin within 3 cm of the highest point.

    Args:
        bones: (N, 3) heads of the bones `head` and `jaw` in T-pose.
        joints: (24, V) SMPL's regressor.

    Returns:
        (17, V) and (9, V).
    """
    mean = people.mean(0)
    head = weights[:, 15] > 0.5
    top = head & (np.linalg.norm(mean - mean[mean[:, 1].argmax()] * np.abs([0, 1, 1]), axis=1) < 0.03)
    head_top = (top | top[mirror]).astype(float)
    head_top /= head_top.sum()

    def middle(row: Array) -> Array:
        return (row + row[mirror]) / 2

    skull = middle(fit_row(people, (bones["head"] + np.einsum("nvc,v->nc", people, head_top)) / 2, head))
    jaw = middle(fit_row(people, bones["jaw"] * np.abs(MIRROR), head))
    pelvis, thorax = joints[[1, 2]].mean(0), joints[[16, 17]].mean(0)
    h36m = [pelvis, *joints[[1, 4, 7, 2, 5, 8, 6, 12]], skull, head_top, *joints[[16, 18, 20, 17, 19, 21]]]
    extra = [joints[2], joints[1], joints[12], head_top, pelvis, thorax, joints[6], jaw, skull]
    return np.stack(h36m), np.stack(extra)
