"""Networks: images in, bodies out. One file an algorithm; SPIN is HMR's network with another training."""

from hmrcli.networks.build import BUILDERS, build_network
from hmrcli.networks.discriminator import Discriminator
from hmrcli.networks.mean import MeanParameters, load_mean_parameters
from hmrcli.networks.prediction import Prediction
from hmrcli.networks.ready import chosen_device, load_network, prediction_precision, require_bodies
from hmrcli.networks.weights import WeightReport, load_backbone, load_weights, save_weights

__all__ = [
    "BUILDERS",
    "Discriminator",
    "MeanParameters",
    "Prediction",
    "WeightReport",
    "build_network",
    "chosen_device",
    "load_backbone",
    "load_mean_parameters",
    "load_network",
    "load_weights",
    "prediction_precision",
    "require_bodies",
    "save_weights",
]
