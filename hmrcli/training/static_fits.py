"""SPIN's static fits, from which fitting in the loop starts: SMPLify on the annotated 2D joints of each row."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmrcli import __version__
from hmrcli.body.camera import CROP_SIZE, crop_translation
from hmrcli.body.rotations import pose_from_rotmat, rotmat_from_6d
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import BETAS_SIZE, POSE_SIZE, write_fits
from hmrcli.data.crop import crop_affine, square_around, transform_points
from hmrcli.data.needed import ANNOTATIONS, BODY_MODELS, FITS, locate
from hmrcli.files import sha256, write_whole
from hmrcli.fitting.mixture import MixturePrior, read_mixture
from hmrcli.fitting.points import BodyPoints, BodyState
from hmrcli.fitting.priors import PosePrior, pose_prior
from hmrcli.fitting.smplify import (
    joints2d_of,
    joints49,
    place_in_crop,
    smplify,
    smplify_objective,
    smplify_points,
)
from hmrcli.layers.mean_parameters import rest_parameters
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import InTheLoop
from hmrcli.training.start import load_training_body, mean_parameters

BATCH = 64
_FULL = {"objective": "original", "corrected": True, "steps": (100, 100), "stop_below": None}
"""SMPLify as SPIN runs it: a start that is far away needs all of it."""


def make_static_fits(
    recipe: Recipe,
    name: str,
    root: Path,
    device: torch.device,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, object]:
    """Writes the fits of a training set: known bodies as they are, the others fitted from the mean pose.

    What is done is kept, so that a run that was stopped goes on. How the fits were made stands beside them in
    `NAME.json`.

    Args:
        progress: is told rows done, and of how many.

    Returns:
        what is written to the record.

    Raises:
        MissingFile, BadInput: annotations or body files are missing or cannot be used.
    """
    dataset = recipe.data.mixture[name]
    assert dataset.fits is not None and recipe.in_the_loop is not None
    source, target = locate(ANNOTATIONS, dataset.annotations, root), root / FITS / dataset.fits
    rows = read_annotations(source, "smpl_49", name)
    settings = recipe.in_the_loop.model_copy(update=_FULL)
    body = load_training_body(recipe, root).to(device)
    prior_file = settings.pose_prior and locate(BODY_MODELS, settings.pose_prior, root)
    prior = read_mixture(prior_file) if prior_file and prior_file.is_file() else pose_prior()
    mean = mean_parameters(recipe.network.mean_parameters, root) or rest_parameters()
    record: dict[str, object] = {
        "made_by": f"hmr {__version__}",
        "annotations": source.name,
        "annotations_sha256": sha256(source),
        "rows": len(rows),
        "known_bodies": int(rows.has_smpl.sum()),
        "fitted": int((~rows.has_smpl).sum()),
        "body": body.sha256,
        "pose_prior": settings.pose_prior if isinstance(prior, MixturePrior) else "bundled",
        "method": "SMPLify from the mean pose and from its back, SPIN's objective, second order",
    }
    part, stamp = (target.with_name(f".{target.name}.{end}") for end in ("part", "part.json"))
    fits = _started(part, stamp, record, rows)
    todo = np.flatnonzero(np.isnan(fits[:, 0]))
    prior = type(prior)(*(values.to(device) for values in prior))
    rotmat = rotmat_from_6d(mean.pose.double().unflatten(1, (24, 6))).to(device)
    fitter = _Fitter(smplify_points(body), prior, settings, rotmat, mean.shape.double().to(device))
    for start in range(0, len(todo), BATCH):
        chosen = todo[start : start + BATCH]
        progress(len(rows) - len(todo) + start, len(rows))
        fits[chosen] = fitter(rows[chosen])
        fits.flush()
    progress(len(rows), len(rows))
    write_fits(target, np.array(fits))
    record["fits_sha256"] = sha256(target)
    write_whole(target.with_suffix(".json"), json.dumps(record, indent=1))
    del fits
    part.unlink()
    stamp.unlink()
    return record


def _started(part: Path, stamp: Path, record: dict[str, object], rows: Annotations) -> np.memmap:
    """Opens the file of what is done so far, (N, 82): NaN where a fit is to be made."""
    part.parent.mkdir(parents=True, exist_ok=True)
    size = (len(rows), POSE_SIZE + BETAS_SIZE)
    wanted = json.dumps(record)
    if stamp.is_file() and stamp.read_text() == wanted and part.is_file():
        return np.memmap(part, np.float32, "r+", shape=size)
    stamp.unlink(missing_ok=True)
    fits = np.memmap(part, np.float32, "w+", shape=size)
    fits[:] = np.where(rows.has_smpl[:, None], np.concatenate([rows.pose, rows.betas], 1), np.nan)
    fits.flush()
    stamp.write_text(wanted)
    return fits


class _Fitter(NamedTuple):
    """Fits bodies to the 2D joints of rows, from the mean rotmat (1, 24, 3, 3) and betas (1, 10)."""

    model: BodyPoints
    prior: PosePrior | MixturePrior
    settings: InTheLoop
    rotmat: Tensor
    betas: Tensor

    @torch.no_grad()
    def __call__(self, rows: Annotations) -> NDArray[np.float32]:
        """Returns fits (B, 82) of rows, in the full image; the mean where there are no joints."""
        keypoints = torch.from_numpy(_in_crops(rows)).to(self.betas.device)
        joints2d = joints2d_of(keypoints, self.settings.ignored_joints)
        states = [self._fitted(keypoints, back) for back in (False, True)]
        objectives = (
            smplify_objective(self.model, self.prior, self.settings, joints2d, each) for each in states
        )
        ahead, behind = (each.cost.nan_to_num(torch.inf)[:, None] for each in objectives)
        first, second = (torch.cat([pose_from_rotmat(each.rotmat), each.betas], 1) for each in states)
        mean = torch.cat([pose_from_rotmat(self.rotmat), self.betas], 1)
        fits = torch.where(behind < ahead, second, first)
        seen = (joints2d.confidence > 0).any(1) & fits.isfinite().all(1)
        return torch.where(seen[:, None], fits, mean).float().cpu().numpy()

    def _fitted(self, keypoints: Tensor, back: bool) -> BodyState:
        count = len(keypoints)
        rotmat = self.rotmat.repeat(count, 1, 1, 1)
        if back:
            rotmat[:, 0] = rotmat[:, 0] @ torch.diag(rotmat.new_tensor([-1.0, 1.0, -1.0]))
        otherwise = crop_translation(rotmat.new_tensor([[0.9, 0.0, 0.0]])).expand(count, 3)
        state = BodyState(rotmat, self.betas.repeat(count, 1), torch.zeros_like(otherwise))
        place = place_in_crop(joints49(self.model, state).points, joints2d_of(keypoints), otherwise)
        return smplify(self.model, self.prior, self.settings, state._replace(transl=place), keypoints)


def _in_crops(rows: Annotations) -> NDArray[np.float32]:
    """Brings keypoints (B, 49, 3) to pixels of the rows' crops."""
    if rows.keypoints2d is None:
        return np.zeros((len(rows), 49, 3), np.float32)
    center, side = square_around(rows.bbox_xywh)
    return transform_points(np.array(rows.keypoints2d), crop_affine(center, side, size=CROP_SIZE))
