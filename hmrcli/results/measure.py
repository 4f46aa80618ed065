"""Evaluates a network or arrays and writes what others need: results, errors of every sample, pictures."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli import __version__
from hmrcli.algorithms.predict import load_network, require_bodies
from hmrcli.assets.data_root import IMAGES
from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.data.needed import find_test_file
from hmrcli.environment import chosen_device, describe
from hmrcli.evaluation import METRICS, PROTOCOLS, Protocol, load_bodies
from hmrcli.evaluation.arrays import ArrayScores
from hmrcli.evaluation.evaluate import Errors, evaluate, seen_wrong
from hmrcli.evaluation.interval import image_folders
from hmrcli.evaluation.pictures import joint_means, joint_plot, sheet
from hmrcli.evaluation.protocols import SCORED_NAMES, Report, summarise
from hmrcli.evaluation.samples import open_samples
from hmrcli.files import sha256, whole_file
from hmrcli.recipe import Recipe
from hmrcli.results.runs import (
    ERRORS_FILE,
    RESULTS_FILE,
    BodyModel,
    Checkpoint,
    Results,
    Score,
    write_results,
)


class Test(NamedTuple):
    """Test set that is measured on."""

    annotations: Path
    images: Path
    protocol: Protocol


def find_test(
    recipe: Recipe,
    root: Path,
    dataset: str | None = None,
    protocol: str | None = None,
    images: Path | None = None,
) -> Test:
    """Finds the test set of a recipe, or another.

    Args:
        dataset: an annotation file, or the name of one below `preprocessed_datasets/`; the recipe's by default.
        protocol: a name in `PROTOCOLS`; the recipe's by default.
        images: folder of the images; by default the recipe's below `datasets/`, or that of the open part named.

    Raises:
        MissingFile: the annotation file is not there.
        UsageError: the recipe's network makes no bodies.
    """
    require_bodies(recipe)
    wanted = recipe.evaluation
    part = Path(dataset or "").stem
    folder = images or root / IMAGES / (part if part in OPEN_SETS else wanted.dataset)
    return Test(find_test_file(recipe, root, dataset), folder, PROTOCOLS[protocol or wanted.protocol])


def evaluate_network(
    recipe: Recipe, checkpoint: Path, test: Test, root: Path, out: Path | None, device: str | None, **how: Any
) -> tuple[Results, Path] | None:
    """Evaluates a checkpoint; an evaluation that was interrupted goes on where it was.

    Under torchrun each process takes every n-th row, so that no row is counted twice, and the first process writes.

    Args:
        out: folder for `results.json`, `errors.npz` and pictures; without it one below `runs/<recipe>/` that is the
            same for the same checkpoint, data and protocol.
        how: `batch_size`, `workers` and `progress` of `evaluate`.

    Returns:
        the results and their folder; None for all processes but the first.

    Raises:
        MissingFile: a file is not there.
        BadInput: a file cannot be used.
    """
    protocol = test.protocol
    samples, scorable = open_samples(test.annotations, test.images, protocol, recipe.crop_shape)
    chosen = chosen_device(device)
    bodies = load_bodies(protocol, root, chosen)
    neutral = bodies["neutral"]
    network, _ = load_network(recipe, checkpoint, neutral, chosen)
    surfaces = recipe.evaluation.meshes or (None,)
    digest = sha256(checkpoint)
    hashes = (digest, sha256(test.annotations), {role: body.sha256 for role, body in bodies.items()})
    depends = (*hashes, protocol.name, recipe.data.image_size, surfaces, __version__, torch.__version__)
    signature = hashlib.sha256(repr(depends).encode()).hexdigest()
    out = out or Path("runs") / recipe.name / f"{protocol.name}-{signature[:8]}"
    kept: dict[str, Any] = {"unfinished": out / "unfinished", "signature": signature}
    done = evaluate(network, samples, protocol, bodies, surfaces, rows=scorable.rows, **kept, **how)
    if done is None:
        return None
    rows, errors = done
    paths = samples.annotations.image_path[rows]
    groups = image_folders(paths)
    notes = (*scorable.notes, *seen_wrong(network, samples, protocol, bodies, rows, surfaces[0]))
    results = _results(
        [summarise(protocol, e.metrics, surface=e.surface, groups=groups, notes=notes) for e in errors],
        test.annotations,
        str(chosen),
        {
            "title": protocol.title,
            "expected_samples": protocol.expected_samples,
            "interval": "95 % bootstrap over " + ("single samples" if groups is None else "image folders"),
            "rows": len(samples.annotations),
            "rows_left_out": len(samples.annotations) - len(rows),
            "joint_errors_mm": [_joints(e) for e in errors],
        },
        recipe=recipe.name,
        body_model=BodyModel(name=neutral.name, vertices=neutral.num_vertices, sha256=neutral.sha256),
        checkpoint=Checkpoint(path=str(checkpoint), sha256=digest),
    )
    sheet(out / "samples.png", network, samples, rows, errors[0], neutral.faces.cpu().numpy())
    joint_plot(out / "joints.png", errors)
    by_sample: dict[str, NDArray[Any]] = {"image_path": paths, "row": rows}
    for one in errors:
        own = _by_key(one.metrics) | {"joints_mm": one.joints, "joints_aligned_mm": one.joints_aligned}
        by_sample |= {f"{one.surface}_{key}" if one.surface else key: values for key, values in own.items()}
    _write(out, results, by_sample)
    shutil.rmtree(out / "unfinished", ignore_errors=True)
    return results, out


def results_of_arrays(scored: ArrayScores, predictions: Path, targets: Path, out: Path | None) -> Results:
    """Returns the results of arrays that another system wrote, and writes them with the errors of rows to `out`."""
    details = scored.details | {"predictions": str(predictions), "targets": str(targets)}
    nothing = {"recipe": None, "body_model": None, "checkpoint": None}
    results = _results([scored.report], targets, "cpu", details, **nothing)
    if out is not None:
        _write(out, results, scored.rows | _by_key(scored.per_sample))
    return results


def _results(
    reports: Sequence[Report], targets: Path, device: str, details: Mapping[str, Any], **network: Any
) -> Results:
    first = reports[0]
    return Results(
        protocol=first.protocol.name,
        dataset=targets.stem,
        samples=first.samples,
        scores=tuple(Score.model_validate(report.as_score()) for report in reports),
        environment=describe(device),
        created=datetime.now(UTC),
        version=__version__,
        details={"text": first.protocol.text, "notes": list(first.notes), **details},
        **network,
    )


def _joints(errors: Errors) -> dict[str, Any]:
    """Returns the mean error of each joint that has one."""
    told: dict[str, Any] = {"surface": errors.surface}
    for name, values in (("mpjpe", errors.joints), ("pa_mpjpe", errors.joints_aligned)):
        means = zip(SCORED_NAMES, joint_means(values).round(3).tolist())
        told[name] = {joint: mean for joint, mean in means if mean == mean}
    return told


def _by_key(metrics: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {METRICS[name].key: values for name, values in metrics.items()}


def _write(out: Path, results: Results, content: Mapping[str, NDArray[Any]]) -> None:
    """Writes the errors by sample, text as fixed-width arrays, which load without pickle, and the results."""
    stored: dict[str, Any] = {
        name: values.astype(str) if values.dtype.kind in "OU" else values for name, values in content.items()
    }
    with whole_file(out / ERRORS_FILE) as temporary:
        np.savez_compressed(temporary, **stored)
    write_results(out / RESULTS_FILE, results)
