"""Bodies regressed by a trained network from crops of people, which go through it in batches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hmrcli.algorithms.predict import load_network, prediction_precision
from hmrcli.algorithms.predict import predict as predict_batch
from hmrcli.body import BodyModel
from hmrcli.body.camera import full_image_translation
from hmrcli.data.crop import crop_people
from hmrcli.errors import UsageError
from hmrcli.fitting.motion import Smooth
from hmrcli.fitting.points import BodyState
from hmrcli.fitting.regressed import smooth_regression
from hmrcli.inference.fit import BBOX_SCALE
from hmrcli.inference.person import People
from hmrcli.inference.photo import Seen
from hmrcli.inference.placing import Bodies, Squares, people_of, squares
from hmrcli.inference.video import Clip, Progress
from hmrcli.layers import Crops, Prediction
from hmrcli.motion import Camera, Motion, Track, by_frame
from hmrcli.recipe import Recipe

BATCH = 64
"""Crops that go through the network at once."""


class NetworkPredictor:
    """Regresses bodies by a trained network; a `Method` of `inference.predictor`."""

    def __init__(
        self,
        recipe: Recipe,
        checkpoint: Path,
        body: BodyModel,
        device: torch.device,
        bbox_scale: float = BBOX_SCALE,
    ) -> None:
        self.network, self.report = load_network(recipe, checkpoint, body, device)
        self.body, self.bbox_scale, self.shape = body, bbox_scale, recipe.crop_shape

    def people(self, seen: Sequence[Seen]) -> list[People]:
        """Gives the people of each photo; the crops of all go through the network together."""
        counts = [len(one.boxes) for one in seen]
        if not any(counts):
            return [People() for _ in seen]
        crops = [crop_people(one.photo.pixels, one.boxes, self.bbox_scale, self.shape) for one in seen]
        around = [squares(one.boxes, self.bbox_scale, one.photo.camera) for one in seen]
        bodies = self._regressed(crops, Squares(*map(torch.cat, zip(*around))))
        split = zip(*([None] * len(seen) if value is None else value.split(counts) for value in bodies))
        return [
            people_of(one, Bodies(*its), [self.body] * len(one.boxes), "regression")
            for one, its in zip(seen, split)
        ]

    def require_rotations(self) -> None:
        """Raises UsageError for a network that gives meshes without rotations, of which no motion can be made."""
        blank = np.zeros((64, 64, 3), np.uint8)
        crop = crop_people(blank, [[0.0, 0.0, 64.0, 64.0]], self.bbox_scale, self.shape)
        if predict(self.network, self.body, crop)[0].rotmat is None:
            raise UsageError(
                "--recipe: this network gives meshes without joint rotations, of which no motion can be made: "
                "name images, or another recipe"
            )

    def motions(
        self, clip: Clip, tracks: Sequence[Track], camera: Camera, smooth: Smooth, progress: Progress
    ) -> list[Motion]:
        """Regresses each person in each of their frames, in a further reading of the clip, and smooths the motions."""
        if not tracks:
            return []
        present = by_frame(track.frames for track in tracks)
        total, done = sum(map(len, present.values())), 0
        crops: list[Crops] = []
        waiting: list[tuple[int, int]] = []
        owners: list[int] = []
        found: list[BodyState] = []
        for frame in clip.frames():
            if here := present.pop(frame.number, []):
                boxes = [tracks[i].boxes[k] for i, k in here]
                crops.append(crop_people(frame.pixels, boxes, self.bbox_scale, self.shape))
                waiting += here
            if len(waiting) >= BATCH or (waiting and not present):
                around = np.stack([tracks[i].boxes[k] for i, k in waiting])
                bodies = self._regressed(crops, squares(around, self.bbox_scale, camera))
                assert bodies.rotmat is not None and bodies.betas is not None
                found.append(BodyState(bodies.rotmat, bodies.betas, bodies.transl))
                owners += [i for i, _ in waiting]
                done += len(waiting)
                progress("motion", done, total)
                crops, waiting = [], []
            if not present:
                break
        assert not present, "a clip reads alike each time"
        states, owner = BodyState(*map(torch.cat, zip(*found))), torch.tensor(owners)
        return [
            smooth_regression(
                self.body, track, camera, BodyState(*(value[owner == i] for value in states)), smooth
            )
            for i, track in enumerate(tracks)
        ]

    def _regressed(self, crops: Sequence[Crops], around: Squares) -> Bodies:
        """Runs the network on crops of N people, and places their bodies, by the squares that were cut out."""
        prediction, joints = predict(self.network, self.body, Crops(*map(torch.cat, zip(*crops))))
        transl = full_image_translation(prediction.cam, *around)
        return Bodies(
            prediction.vertices, joints, prediction.cam, transl, prediction.rotmat, prediction.betas
        )


def predict(network: nn.Module, body: BodyModel, crops: Crops) -> tuple[Prediction, Tensor]:
    """Runs a network on N crops, N at least 1, in float32 on the CPU.

    Returns:
        the prediction, without intermediate meshes, and (N, 24, 3) joints of its bodies in metres. A mesh without
        parameters has its joints by the body's regressor.
    """
    device = next(network.parameters()).device
    predictions, joints = [], []
    for start in range(0, len(crops.images), BATCH):
        part = Crops(*(values[start : start + BATCH] for values in crops)).to(device)
        with torch.inference_mode():
            with prediction_precision(device):
                predicted = predict_batch(network, part)
            predictions.append(predicted)
            regressed = predicted.joints is None
            joints.append(body.joint_regressor @ predicted.vertices if regressed else predicted.joints)
    fields = zip(*(p._replace(mesh_levels=None) for p in predictions))
    joined = (None if field[0] is None else torch.cat(field).float().cpu() for field in fields)
    return Prediction._make(joined), torch.cat(joints).float().cpu()
