"""Evaluation: error metrics, the protocols that say what they are taken of, and scoring of arrays."""

from hmrcli.evaluation.alignment import align_similarity
from hmrcli.evaluation.arrays import ARRAYS, score_arrays
from hmrcli.evaluation.interval import aggregate
from hmrcli.evaluation.metrics import (
    METRICS,
    accel_error,
    auc,
    measure,
    mpjpe,
    pa_auc,
    pa_mpjpe,
    pa_pck,
    pa_pve,
    pck,
    pve,
)
from hmrcli.evaluation.protocols import load_bodies
from hmrcli.recipe.protocols import PROTOCOLS, Protocol

__all__ = [
    "ARRAYS", "METRICS", "PROTOCOLS", "Protocol", "accel_error", "aggregate", "align_similarity", "auc", "load_bodies",
    "measure", "mpjpe", "pa_auc", "pa_mpjpe", "pa_pck", "pa_pve", "pck", "pve", "score_arrays",
]  # fmt: skip
