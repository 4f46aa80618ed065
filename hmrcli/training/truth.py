"""A batch's labels: checked, and brought into the form in which losses compare them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from hmrcli.body.camera import CROP_SIZE
from hmrcli.body.joints import JOINT_SETS, SMPL_54
from hmrcli.body.model import BodyModel
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import Loss
from hmrcli.training.terms import (
    Counts,
    Keypoints,
    centred_on_hips,
    count_labels,
    keypoint_mean,
    labelled_mean,
)

_HIPS = (SMPL_54.names.index("right_hip_extra"), SMPL_54.names.index("left_hip_extra"))

Terms = Mapping[str, Callable[[Loss], Tensor]]
"""What computes each term, without its weight, when a recipe has it."""


class Truth(NamedTuple):
    """A batch's labels in the form in which they are compared."""

    keypoints2d: Keypoints
    """In [-1, 1] over the crop."""
    keypoints3d: Keypoints
    """Metres from the middle between the hips."""
    hips: tuple[int, int]
    """Their places among the joints."""
    rotmat: Tensor
    """(B, 24, 3, 3)"""
    betas: Tensor
    """(B, 10)"""
    transl: Tensor | None
    """(B, 3) metres, added to the true vertices."""
    flags: Tensor
    """(B,) 1 where rotmat and betas are known, else 0."""
    labelled: Tensor
    """Scalar: how many these are."""

    def keypoint_terms(self, prefix: str, joints3d: Tensor, joints2d: Tensor) -> Terms:
        """The two terms of predicted joints (B, J, 3) in metres and (B, J, 2) in [-1, 1]."""

        def term(predicted: Tensor, keypoints: Keypoints) -> Callable[[Loss], Tensor]:
            return lambda loss: keypoint_mean(predicted, keypoints, loss.kind, loss.over)

        return {
            f"{prefix}keypoints3d": term(centred_on_hips(joints3d, self.hips), self.keypoints3d),
            f"{prefix}keypoints2d": term(joints2d, self.keypoints2d),
        }

    def mean(self, predicted: Tensor, target: Tensor, loss: Loss) -> Tensor:
        """Mean error of (B, …) numbers over the samples with body parameters."""
        return labelled_mean(predicted, target, self.flags, self.labelled, loss.kind)

    def parameter_terms(self, rotmat: Tensor, betas: Tensor) -> Terms:
        """The terms of predicted pose (B, 24, 3, 3) and shape (B, 10)."""
        return {
            "rotmat": lambda loss: self.mean(rotmat, self.rotmat, loss),
            "betas": lambda loss: self.mean(betas, self.betas, loss),
        }

    def local_keypoints(self, joints3d: Tensor, rotmat: Tensor, loss: Loss) -> Tensor:
        """Mean error of joints (B, J, 3) in the frame of the pelvis, where the body's turn in the picture is undone.

        Ours: this leaves the pose alone, as PA-MPJPE does, which is learned sooner than where a body faces. Samples
        without a pose, whose turn is unknown, count as without error.
        """
        known = self.keypoints3d._replace(
            target=self.keypoints3d.target @ self.rotmat[:, 0],
            confidence=self.keypoints3d.confidence * self.flags[:, None],
        )
        predicted = centred_on_hips(joints3d, self.hips) @ rotmat[:, 0]
        return keypoint_mean(predicted, known, loss.kind, loss.over)

    @torch.no_grad()
    def vertices(self, body: BodyModel) -> Tensor:
        """(B, V, 3) metres; of no meaning where the flag is 0."""
        return body(self.rotmat, self.betas, self.transl).vertices


def true_labels(
    recipe: Recipe, labels: Mapping[str, Tensor], batch: int, counts: Counts | None = None
) -> Truth:
    """Labels as the losses of a recipe compare them; `losses.training_losses` describes labels and counts.

    Raises:
        ValueError: a label is missing or has a wrong shape.
    """
    check_labels(labels, batch, recipe.data.joints)
    counts = count_labels(labels) if counts is None else counts
    shift = labels.get("fit_transl")
    from_54 = JOINT_SETS[recipe.data.joints].from_54
    hips = (from_54.index(_HIPS[0]), from_54.index(_HIPS[1]))
    points2d, points3d = labels["keypoints2d"].float(), labels["keypoints3d"].float()
    # The two cameras' papers disagree on whether the crop ends at the last pixel's middle or at its edge.
    perspective = recipe.camera is not None and recipe.camera.kind == "perspective"
    span = CROP_SIZE - 1 if perspective else CROP_SIZE
    return Truth(
        keypoints2d=Keypoints(
            target=2 * points2d[..., :2] / span - 1,
            confidence=points2d[..., 2],
            flags=labels["has_keypoints2d"].float(),
            visible=counts.visible2d,
            flagged=counts.flagged2d,
        ),
        keypoints3d=Keypoints(
            target=centred_on_hips(points3d[..., :3], hips),
            confidence=points3d[..., 3],
            flags=labels["has_keypoints3d"].float(),
            visible=counts.visible3d,
            flagged=counts.flagged3d,
        ),
        hips=hips,
        rotmat=rotmat_from_pose(labels["pose"].float()),
        betas=labels["betas"].float(),
        transl=None if shift is None else shift.float(),
        flags=labels["has_smpl"].float(),
        labelled=counts.smpl,
    )


def check_labels(labels: Mapping[str, Tensor], batch: int, joints: str) -> None:
    """Compares labels with what `training_losses` expects for a batch of B samples and a joint set.

    Raises:
        ValueError: names the first label that is missing or has a wrong shape.
    """
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


def blank_labels(recipe: Recipe, device: torch.device) -> dict[str, Tensor]:
    """Labels of one sample of which nothing is known."""
    return {name: torch.zeros(shape, device=device) for name, shape in _shapes(recipe.data.joints, 1).items()}


def _shapes(joints: str, batch: int) -> dict[str, tuple[int, ...]]:
    count = len(JOINT_SETS[joints])
    return {
        "keypoints2d": (batch, count, 3),
        "keypoints3d": (batch, count, 4),
        "pose": (batch, 72),
        "betas": (batch, 10),
        "has_keypoints2d": (batch,),
        "has_keypoints3d": (batch,),
        "has_smpl": (batch,),
    }
