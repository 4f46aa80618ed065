"""Human mesh recovery: a photo in, a posed 3D body out.

Names are looked up when they are first used, so that `import hmrcli` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmrcli.algorithms import build_network as build_network
    from hmrcli.body import load_body as load_body
    from hmrcli.evaluation.alignment import align_similarity as align_similarity
    from hmrcli.evaluation.metrics import accel_error as accel_error
    from hmrcli.evaluation.metrics import auc as auc
    from hmrcli.evaluation.metrics import mpjpe as mpjpe
    from hmrcli.evaluation.metrics import pa_auc as pa_auc
    from hmrcli.evaluation.metrics import pa_mpjpe as pa_mpjpe
    from hmrcli.evaluation.metrics import pa_pck as pa_pck
    from hmrcli.evaluation.metrics import pa_pve as pa_pve
    from hmrcli.evaluation.metrics import pck as pck
    from hmrcli.evaluation.metrics import pve as pve
    from hmrcli.inference.images import read_image as read_image
    from hmrcli.inference.predictor import Predictor as Predictor
    from hmrcli.layers import load_weights as load_weights
    from hmrcli.recipe import load_recipe as load_recipe

__version__ = "0.1.0"

_METRICS = ("accel_error", "auc", "mpjpe", "pa_auc", "pa_mpjpe", "pa_pck", "pa_pve", "pck", "pve")
_HOMES = {
    "load_recipe": "recipe",
    "load_body": "body",
    "build_network": "algorithms",
    "load_weights": "layers",
    "Predictor": "inference.predictor",
    "read_image": "inference.images",
    "align_similarity": "evaluation.alignment",
    **dict.fromkeys(_METRICS, "evaluation.metrics"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
