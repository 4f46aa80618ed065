"""Evaluation: error metrics, the protocols that say what they are taken of, and scoring of arrays."""

from hmrcli.evaluation.alignment import align_similarity
from hmrcli.evaluation.arrays import ARRAYS, ArrayScores, score_arrays
from hmrcli.evaluation.interval import Aggregate, aggregate
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
from hmrcli.evaluation.protocols import (
    PROTOCOLS,
    Mesh,
    Points,
    Protocol,
    Report,
    Target,
    load_bodies,
    mesh_of,
    points,
    score,
    summarise,
)

__all__ = [
    "ARRAYS",
    "METRICS",
    "PROTOCOLS",
    "Aggregate",
    "ArrayScores",
    "Mesh",
    "Points",
    "Protocol",
    "Report",
    "Target",
    "accel_error",
    "aggregate",
    "align_similarity",
    "auc",
    "load_bodies",
    "measure",
    "mesh_of",
    "mpjpe",
    "pa_auc",
    "pa_mpjpe",
    "pa_pck",
    "pa_pve",
    "pck",
    "points",
    "pve",
    "score",
    "score_arrays",
    "summarise",
]
