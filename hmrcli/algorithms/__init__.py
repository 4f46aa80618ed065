"""The algorithms: images in, bodies out. One file each; SPIN is HMR's network with another training."""

from hmrcli.algorithms.build import BUILDERS, build_network
from hmrcli.algorithms.ready import chosen_device, load_network, prediction_precision, require_bodies

__all__ = [
    "BUILDERS",
    "build_network",
    "chosen_device",
    "load_network",
    "prediction_precision",
    "require_bodies",
]
