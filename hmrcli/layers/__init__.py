"""Building blocks of the algorithms' networks, and the weight files that fill them."""

from hmrcli.layers.crops import Crops
from hmrcli.layers.discriminator import Discriminator
from hmrcli.layers.mean_parameters import MeanParameters, load_mean_parameters
from hmrcli.layers.prediction import Prediction
from hmrcli.layers.weights import WeightReport, load_backbone, load_weights, save_weights

__all__ = [
    "Crops",
    "Discriminator",
    "MeanParameters",
    "Prediction",
    "WeightReport",
    "load_backbone",
    "load_mean_parameters",
    "load_weights",
    "save_weights",
]
