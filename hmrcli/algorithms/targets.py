"""Targets of predictions: a batch's labels, checked and brought into one form."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from hmrcli.body.joints import JOINT_SETS, SMPL_54
from hmrcli.body.model import BodyModel
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.layers.constants import fixed, places
from hmrcli.layers.crops import Crops
from hmrcli.recipe import Recipe

_HIPS = (SMPL_54.names.index("right_hip_extra"), SMPL_54.names.index("left_hip_extra"))


class Counts(NamedTuple):
    """Numbers of labels in a batch: scalars that means divide by."""

    visible2d: Tensor
    """2D joints with confidence."""
    visible3d: Tensor
    """3D joints with confidence."""
    flagged2d: Tensor
    """Samples with 2D joints."""
    flagged3d: Tensor
    """Samples with 3D joints."""
    smpl: Tensor
    """Samples with pose and shape."""


class Keypoints(NamedTuple):
    """True joints of a batch."""

    values: Tensor
    """(B, J, D)"""
    confidence: Tensor
    """(B, J), 0 where a joint is unknown."""
    flags: Tensor
    """(B,) 1 for samples that have such joints, else 0."""
    visible: Tensor
    """Scalar: joints with confidence."""
    flagged: Tensor
    """Scalar: samples with a flag."""

    def spanning(self, width: int) -> "Keypoints":
        """Brings pixels to [-1, 1] over so many."""
        return self._replace(values=2 * self.values / width - 1)


class Parameters(NamedTuple):
    """True numbers of a batch's bodies."""

    values: Tensor
    """(B, ...), finite also where they are unknown."""
    flags: Tensor
    """(B,) 1 where they are known, else 0."""
    labelled: Tensor
    """Scalar: how many these are."""


class TrainingTargets(NamedTuple):
    """Targets of a batch's predictions."""

    keypoints2d: Keypoints
    """Pixels of a crop of 224."""
    keypoints3d: Keypoints
    """Metres from the middle between the hips."""
    rotmat: Parameters
    """(B, 24, 3, 3)"""
    betas: Parameters
    """(B, 10)"""
    vertices: Parameters | None
    """(B, V, 3) metres; None where no loss of the recipe asks for them."""
    from_54: tuple[int, ...]
    """The keypoints' places among SMPL's 54."""
    crops: Crops
    """The crops that they belong to, for losses in the full photo."""

    def choose(self, joints: Tensor) -> Tensor:
        """Takes those of SMPL's joints (B, 54, 3) that there are keypoints for."""
        if self.from_54 == tuple(range(joints.shape[1])):
            return joints
        return joints.index_select(1, places(self.from_54, joints.device))

    def center(self, joints3d: Tensor) -> Tensor:
        """Moves joints (B, J, 3) as the 3D keypoints are: the middle between the hips to the origin."""
        return centered_on_hips(joints3d, self.from_54)


def count_labels(labels: Mapping[str, Tensor]) -> Counts:
    """Counts the labels of a batch, which have the keys and shapes of `make_targets`."""
    visible = [(labels[name][..., -1] > 0).sum() for name in ("keypoints2d", "keypoints3d")]
    flags = torch.stack([labels[f"has_{name}"] for name in ("keypoints2d", "keypoints3d", "smpl")])
    return Counts(*torch.stack([*visible, *flags.sum(1)]).float().unbind())


def make_targets(
    recipe: Recipe, labels: Mapping[str, Tensor], crops: Crops, body: BodyModel, counts: Counts | None = None
) -> TrainingTargets:
    """Makes the targets of a batch of B crops.

    Args:
        recipe: says which joints the labels have, and whether a loss needs vertices.
        labels: in the frame of the crops, after augmentation: keypoints2d (B, J, 3) pixels of a crop of 224 and
            confidence, keypoints3d (B, J, 4) metres and confidence, pose (B, 72) radians, betas (B, 10), and
            has_keypoints2d, has_keypoints3d, has_smpl (B,) bool or 0 and 1. What is unknown is finite. With an
            optional fit_transl (B, 3), metres, the vertices keep a fitted translation, as in the benchmark's SPIN.
        crops: what the network got.
        body: makes the vertices.
        counts: what means divide by; by default this batch's own. For a batch in parts, the average of the parts'
            `count_labels`.

    Raises:
        ValueError: a label is missing or has a wrong shape.
    """
    _check(labels, recipe.data.joints)
    counts = count_labels(labels) if counts is None else counts
    from_54 = JOINT_SETS[recipe.data.joints].from_54
    points2d, points3d = labels["keypoints2d"].float(), labels["keypoints3d"].float()
    rotmat, betas = rotmat_from_pose(labels["pose"].float()), labels["betas"].float()
    known = {"flags": labels["has_smpl"].float(), "labelled": counts.smpl}
    vertices = None
    if any(name.endswith("vertices") for name in recipe.losses):
        transl = labels.get("fit_transl")
        with torch.no_grad():
            posed = body(rotmat, betas, None if transl is None else transl.float())
        vertices = Parameters(posed.vertices, **known)
    flags2d, flags3d = labels["has_keypoints2d"].float(), labels["has_keypoints3d"].float()
    centered = centered_on_hips(points3d[..., :3], from_54)
    return TrainingTargets(
        keypoints2d=Keypoints(
            points2d[..., :2], points2d[..., 2], flags2d, counts.visible2d, counts.flagged2d
        ),
        keypoints3d=Keypoints(centered, points3d[..., 3], flags3d, counts.visible3d, counts.flagged3d),
        rotmat=Parameters(rotmat, **known),
        betas=Parameters(betas, **known),
        vertices=vertices,
        from_54=from_54,
        crops=crops,
    )


def centered_on_hips(joints3d: Tensor, from_54: tuple[int, ...]) -> Tensor:
    """Moves joints (B, J, 3), at these places of SMPL's 54, so that the middle between the hips is the origin."""
    return _from_hips(from_54, joints3d.device).to(joints3d) @ joints3d


@fixed
def _from_hips(from_54: tuple[int, ...], device: torch.device) -> Tensor:
    """Makes the matrix (J, J) that takes the middle between the hips from all joints."""
    matrix = torch.eye(len(from_54), device=device)
    for hip in _HIPS:
        matrix[:, from_54.index(hip)] -= 0.5
    return matrix


def blank_labels(recipe: Recipe, device: torch.device) -> dict[str, Tensor]:
    """Returns labels of one sample of which nothing is known."""
    return {name: torch.zeros(shape, device=device) for name, shape in _shapes(recipe.data.joints, 1).items()}


def _check(labels: Mapping[str, Tensor], joints: str) -> None:
    batch = len(next(iter(labels.values())))
    expected = _shapes(joints, batch)
    if "fit_transl" in labels:
        expected["fit_transl"] = (batch, 3)
    for name, shape in expected.items():
        if name not in labels:
            raise ValueError(f"labels lack {name}, expected shape {shape}; they have {', '.join(labels)}")
        if tuple(labels[name].shape) != shape:
            raise ValueError(
                f"label {name} has shape {tuple(labels[name].shape)}, expected {shape} "
                f"for {batch} samples with joints {joints}"
            )


def _shapes(joints: str, batch: int) -> dict[str, tuple[int, ...]]:
    count = len(JOINT_SETS[joints])
    return {
        "keypoints2d": (batch, count, 3),
        "keypoints3d": (batch, count, 4),
        "pose": (batch, 72),
        "betas": (batch, 10),
        **dict.fromkeys(("has_keypoints2d", "has_keypoints3d", "has_smpl"), (batch,)),
    }
