"""Bodies regressed by a trained network."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from hmrcli.algorithms.predict import load_network, prediction_precision
from hmrcli.algorithms.predict import predict as predict_batch
from hmrcli.body import BodyModel
from hmrcli.body.camera import full_image_translation
from hmrcli.data.crop import crop_people
from hmrcli.inference.fit import BBOX_SCALE
from hmrcli.inference.person import People
from hmrcli.inference.photo import Seen
from hmrcli.inference.placing import Bodies, people_of, squares
from hmrcli.layers import Crops, Prediction
from hmrcli.recipe import Recipe

BATCH = 64
"""Crops that go through the network at once."""


class NetworkPredictor:
    """Regresses bodies by a trained network from crops of people."""

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
        prediction, joints = predict(self.network, self.body, Crops(*map(torch.cat, zip(*crops))))
        around = [squares(one.boxes, self.bbox_scale, one.photo.camera) for one in seen]
        transl = full_image_translation(prediction.cam, *map(torch.cat, zip(*around)))
        fields = [prediction.vertices, joints, prediction.cam, transl, prediction.rotmat, prediction.betas]
        split = zip(*([None] * len(seen) if value is None else value.split(counts) for value in fields))
        return [
            people_of(one, Bodies(*bodies), [self.body] * len(one.boxes), "regression")
            for one, bodies in zip(seen, split)
        ]


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
