"""SPIN (Kolotouros et al., ICCV 2019): HMR's network, taught by fits that start at its own predictions."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hmrcli.algorithms.hmr import build as build
from hmrcli.algorithms.hmr import losses as losses
from hmrcli.algorithms.spin_fits import FitStore, Origin
from hmrcli.body import BodyModel
from hmrcli.body.camera import crop_translation
from hmrcli.body.rotations import pose_from_rotmat, rotmat_from_6d, rotmat_from_pose, sixd_from_rotmat
from hmrcli.data.sets import Bodies
from hmrcli.data.training import Batch
from hmrcli.fitting.mixture import read_mixture
from hmrcli.fitting.points import BodyState
from hmrcli.fitting.priors import pose_prior
from hmrcli.fitting.smplify import (
    Joints2d,
    joints2d_of,
    joints49,
    place_in_crop,
    projection,
    reprojection_losses,
    smplify,
    smplify_points,
)
from hmrcli.layers.prediction import Prediction
from hmrcli.recipe.schema import InTheLoop

_LABELS = ("keypoints2d", "keypoints3d", "has_keypoints2d", "has_keypoints3d")


class Update(NamedTuple):
    """Results of fitting, started from B stored fits, in float64."""

    state: BodyState
    """The better of stored and new fit."""
    loss: Tensor
    """(B,) its reprojection loss, infinite where there are neither fit nor joints."""
    improved: Tensor
    """(B,) whether the new fit is the better one."""


class Fitter:
    """Replaces a batch's body labels by fits (section 3.3) and keeps the store of fits; a step's `relabel`."""

    def __init__(
        self, settings: InTheLoop, body: BodyModel, store: FitStore, prior_file: Path | None
    ) -> None:
        """Prepares fitting on the body's device, with the fits of the training's sets.

        Args:
            prior_file: SMPLify's `gmm_08.pkl`; None takes the bundled prior, which is open, in its place.

        Raises:
            MissingFile, BadInput: as `read_mixture`.
        """
        self.settings, self.store = settings, store
        self.model = smplify_points(body)
        prior = pose_prior() if prior_file is None else read_mixture(prior_file)
        self.prior = type(prior)(*(values.to(body.v_template.device) for values in prior))

    @torch.no_grad()
    def __call__(self, batch: Batch, prediction: Prediction) -> dict[str, Tensor]:
        """Takes the data's own body for a label where it has one, else the best fit there is.

        A body that the data knows never needs a fit, so none is made for it.

        Args:
            batch: with the 49 joints, on the device.

        Returns:
            keypoints2d, keypoints3d and their flags from the batch; pose (B, 72), betas (B, 10) and has_smpl (B,)
            bool, whether they are to be believed. In the benchmark's uncorrected form also fit_transl (B, 3),
            which its vertex targets keep.
        """
        settings = self.settings
        pose, betas, valid = batch.pose.clone(), batch.betas.clone(), batch.has_smpl.clone()
        transl = torch.zeros_like(betas[:, :3])
        lacking = (~batch.has_smpl).nonzero()[:, 0]
        if len(lacking):
            drawn = Origin(*(getattr(batch, name)[lacking].cpu().numpy() for name in Origin._fields))
            update = self._update(self.store.get(drawn), batch, prediction, lacking)
            fitted_pose, fitted_betas = pose_from_rotmat(update.state.rotmat), update.state.betas
            better = update.improved.cpu().numpy()
            fits = (values.float().cpu().numpy()[better] for values in (fitted_pose, fitted_betas))
            replaced = Origin(*(values[better] for values in drawn))
            self.store.put(replaced, Bodies(*fits), update.loss.float().cpu().numpy()[better])
            extreme = (fitted_betas.abs() > settings.largest_beta).any(1, keepdim=True)
            pose[lacking] = fitted_pose.to(pose)
            betas[lacking] = fitted_betas.masked_fill(extreme, 0.0).to(betas)
            valid[lacking] = update.loss < settings.threshold
            transl[lacking] = (update.state.transl * update.improved[:, None]).to(transl)
        labels = {name: getattr(batch, name) for name in _LABELS}
        labels |= {"pose": pose, "betas": betas, "has_smpl": valid}
        return labels if settings.corrected else {**labels, "fit_transl": transl}

    def _update(self, fits: Bodies, batch: Batch, prediction: Prediction, rows: Tensor) -> Update:
        """Fits to some rows of a batch, and takes the new fit where its reprojection loss is the lower one.

        Args:
            fits: the stored ones in these rows' crops, NaN where there is none.
            prediction: gives the estimates that fitting starts from.
        """
        assert prediction.rotmat is not None and prediction.betas is not None
        keypoints2d, settings = batch.keypoints2d[rows], self.settings
        joints2d = joints2d_of(keypoints2d, settings.ignored_joints)
        # Half precision leaves matrices that are rotations to three digits only.
        rotmat = rotmat_from_6d(sixd_from_rotmat(prediction.rotmat[rows].double()))
        betas, cam = prediction.betas[rows].double(), prediction.cam[rows].double()
        start = crop_translation(cam)
        stored_pose, stored_betas = (
            torch.from_numpy(values).to(cam.device).double() for values in (fits.pose, fits.betas)
        )
        stored = BodyState(
            rotmat_from_pose(stored_pose.nan_to_num(0.0)),
            stored_betas.nan_to_num(0.0),
            torch.zeros_like(start),
        )
        place = place_in_crop(joints49(self.model, stored).points, joints2d_of(keypoints2d), start)
        stored = stored._replace(transl=place)
        known = stored_pose.isfinite().all(1)
        stored_loss = self._loss(stored, joints2d).masked_fill(~known, torch.inf)
        estimate = BodyState(rotmat, betas, start if settings.corrected else cam)
        fitted = smplify(self.model, self.prior, settings, estimate, keypoints2d)
        loss = self._loss(fitted, joints2d).nan_to_num(torch.inf)
        better = loss < stored_loss
        state = (torch.where(better.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(fitted, stored))
        return Update(BodyState(*state), torch.minimum(loss, stored_loss), better)

    def _loss(self, state: BodyState, joints2d: Joints2d) -> Tensor:
        """(B,) mean over the 49 joints in SPIN's own form, sum in the benchmark's; infinite without any joint."""
        pixels, _ = projection(joints49(self.model, state))
        losses = reprojection_losses(pixels, joints2d, self.settings)
        loss = losses.mean(1) if self.settings.objective == "original" else losses.sum(1)
        return loss.masked_fill((joints2d.confidence == 0).all(1), torch.inf)
