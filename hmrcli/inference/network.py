"""Runs a network on crops of people."""

import torch
from torch import Tensor, nn

from hmrcli.algorithms.predict import predict as predict_batch
from hmrcli.algorithms.predict import prediction_precision
from hmrcli.body import BodyModel
from hmrcli.layers import Crops, Prediction

BATCH = 64
"""Crops that go through the network at once."""


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
