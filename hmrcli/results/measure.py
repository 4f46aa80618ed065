"""Evaluates a network or arrays and writes what others need: results, errors of every sample, pictures."""

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli import __version__
from hmrcli.algorithms.predict import load_network, require_bodies
from hmrcli.body import BodyModel as Body
from hmrcli.body.joints import EVALUATION_14_FROM_H36M, H36M_NAMES
from hmrcli.data.needed import find_test_file
from hmrcli.data.open_files import annotation_file
from hmrcli.distributed import gathered, rank_and_size
from hmrcli.environment import chosen_device, describe
from hmrcli.errors import MissingFile
from hmrcli.evaluation import METRICS, PROTOCOLS, Protocol, Report, load_bodies, summarise
from hmrcli.evaluation.arrays import ArrayScores
from hmrcli.evaluation.evaluate import Errors, evaluate, open_samples, seen_wrong
from hmrcli.evaluation.pictures import joint_means, joint_plot, sheet
from hmrcli.files import whole_file
from hmrcli.recipe import Recipe
from hmrcli.results.per_sample import ERRORS_FILE, image_folders
from hmrcli.results.runs import RESULTS_FILE, BodyModel, Checkpoint, Results, Score, write_results
from hmrcli.scenes.splits import SPLITS


class Test(NamedTuple):
    """What is measured on."""

    annotations: Path
    images: Path
    protocol: Protocol


def find_test(
    recipe: Recipe,
    root: Path,
    dataset: str | None = None,
    protocol: str | None = None,
    images: Path | None = None,
    workers: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Test:
    """The test set of a recipe, or another; those of the open benchmark are rendered if they are not there.

    Args:
        root: the data root.
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
    folder = images or root / "datasets" / (part if part in SPLITS else wanted.dataset)
    rules = PROTOCOLS[protocol or wanted.protocol]
    path = find_test_file(recipe, root, dataset)
    if not path.is_file():
        render_test(path.stem, root, workers, say)
    return Test(path, folder, rules)


def render_test(part: str, root: Path, workers: int, say: Callable[[str], None]) -> None:
    """Writes a test set of the open benchmark; under torchrun the first process does, and the others wait for it.

    Raises:
        BadInput: as `write_open_set`.
    """
    from hmrcli.data.rendered import write_open_set

    path = annotation_file(root, part)
    if rank_and_size()[0] == 0:
        say(f"{part} is rendered first, to {path} and the folder of its images; once for all")
        write_open_set(root, part, workers=workers)
    while not path.is_file():
        time.sleep(1)


def evaluate_network(
    recipe: Recipe,
    checkpoint: Path,
    test: Test,
    root: Path,
    out: Path | None = None,
    *,
    device: str | None = None,
    batch_size: int = 64,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Results, Path] | None:
    """Evaluates a checkpoint; an evaluation that was interrupted goes on where it was.

    Under torchrun each process takes every n-th row, so that no row is counted twice, and the first process writes.

    Args:
        root: the data root.
        out: folder for `results.json`, `errors.npz` and pictures; by default one below `runs/<recipe>/` that is the
            same for the same checkpoint, data and protocol.
        progress: called with rows newly done, and all of this process.

    Returns:
        the results and their folder; None for all processes but the first.

    Raises:
        MissingFile: a file is not there.
        BadInput: a file cannot be used.
    """
    samples, scorable = open_samples(test.annotations, test.images, test.protocol, recipe.crop_shape)
    annotations = samples.annotations
    chosen = chosen_device(device)
    bodies = load_bodies(test.protocol, root, chosen)
    network, _ = load_network(recipe, checkpoint, bodies["neutral"], chosen)
    surfaces = recipe.evaluation.meshes or (None,)
    sha256 = _sha256(checkpoint)
    signature = _signature(
        sha256, _sha256(test.annotations), test.protocol.name, bodies, recipe.data.image_size, surfaces
    )
    out = out or Path("runs") / recipe.name / f"{test.protocol.name}-{signature[:8]}"
    rank, size = rank_and_size()
    mine = scorable.rows[rank::size].tolist()
    part = evaluate(
        network,
        samples,
        test.protocol,
        bodies,
        surfaces,
        batch_size=batch_size,
        workers=workers,
        rows=mine,
        saved=out / "unfinished" / f"{rank}-of-{size}.npz",
        signature=signature,
        progress=lambda done: progress(done, len(mine)),
    )
    parts = gathered(part)
    if parts is None:
        return None
    rows, errors = _merged(parts)
    paths = annotations.image_path[rows]
    groups = image_folders(paths)
    notes = (*scorable.notes, *seen_wrong(network, samples, test.protocol, bodies, rows, surfaces[0]))
    reports = [
        summarise(test.protocol, e.metrics, surface=e.surface, groups=groups, notes=notes) for e in errors
    ]
    results = Results(
        recipe=recipe.name,
        protocol=test.protocol.name,
        dataset=test.annotations.stem,
        samples=len(rows),
        scores=tuple(Score.model_validate(report.as_score()) for report in reports),
        body_model=_body(bodies["neutral"]),
        checkpoint=Checkpoint(path=str(checkpoint), sha256=sha256),
        environment=describe(str(chosen)),
        created=datetime.now(UTC),
        version=__version__,
        details=_details(test.protocol, reports, groups)
        | {
            "rows": len(annotations),
            "rows_left_out": len(annotations) - len(rows),
            "joint_errors_mm": [_joints(e) for e in errors],
        },
    )
    _save_errors(out / ERRORS_FILE, {"image_path": paths, "row": rows}, errors)
    sheet(out / "samples.png", network, samples, rows, errors[0], bodies["neutral"].faces.cpu().numpy())
    joint_plot(out / "joints.png", errors)
    write_results(out / RESULTS_FILE, results)
    shutil.rmtree(out / "unfinished", ignore_errors=True)
    return results, out


def results_of_arrays(scored: ArrayScores, predictions: Path, targets: Path) -> Results:
    """Results of arrays that another system wrote."""
    report = scored.report
    return Results(
        recipe=None,
        protocol=report.protocol,
        dataset=targets.stem,
        samples=report.samples,
        scores=(Score.model_validate(report.as_score()),),
        body_model=None,
        checkpoint=None,
        environment=describe("cpu"),
        created=datetime.now(UTC),
        version=__version__,
        details={
            "text": report.text,
            "notes": list(report.notes),
            **scored.details,
            "predictions": str(predictions),
            "targets": str(targets),
        },
    )


def save_arrays(scored: ArrayScores, results: Results, out: Path) -> None:
    """Writes the results and the error of every row to a folder."""
    content = {**scored.rows, **{METRICS[name].key: values for name, values in scored.per_sample.items()}}
    with whole_file(out / ERRORS_FILE) as temporary:
        np.savez_compressed(temporary, **_storable(content))
    write_results(out / RESULTS_FILE, results)


def _details(protocol: Protocol, reports: Sequence[Report], groups: NDArray[Any] | None) -> dict[str, Any]:
    return {
        "title": protocol.title,
        "text": protocol.text,
        "notes": list(reports[0].notes),
        "expected_samples": protocol.expected_samples,
        "interval": "95 % bootstrap over " + ("single samples" if groups is None else "image folders"),
    }


def _joints(errors: Errors) -> dict[str, Any]:
    names = [H36M_NAMES[row] for row in EVALUATION_14_FROM_H36M]
    pairs = {"mpjpe": errors.joints, "pa_mpjpe": errors.joints_aligned}
    means = {
        name: {
            joint: mean for joint, mean in zip(names, joint_means(values).round(3).tolist()) if mean == mean
        }
        for name, values in pairs.items()
    }
    return {"surface": errors.surface} | means


def _merged(
    parts: Sequence[tuple[NDArray[np.int64], list[Errors]]],
) -> tuple[NDArray[np.int64], list[Errors]]:
    """The rows of all processes in order, and their errors for each surface."""
    rows = np.concatenate([part[0] for part in parts])
    order = np.argsort(rows)
    merged = []
    for surface in zip(*(part[1] for part in parts)):
        first = surface[0]
        merged.append(
            Errors(
                first.surface,
                {name: np.concatenate([e.metrics[name] for e in surface])[order] for name in first.metrics},
                np.concatenate([e.joints for e in surface])[order],
                np.concatenate([e.joints_aligned for e in surface])[order],
            )
        )
    return rows[order], merged


def _save_errors(path: Path, labels: dict[str, NDArray[Any]], errors: Sequence[Errors]) -> None:
    content = dict(labels)
    for one in errors:
        prefix = f"{one.surface}_" if one.surface else ""
        content |= {f"{prefix}{METRICS[name].key}": values for name, values in one.metrics.items()}
        content[f"{prefix}joints_mm"] = one.joints
        content[f"{prefix}joints_aligned_mm"] = one.joints_aligned
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **_storable(content))


def _storable(content: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Text as fixed-width arrays, which load without pickle."""
    return {
        name: values.astype(str) if values.dtype.kind in "OU" else values for name, values in content.items()
    }


def _body(body: Body) -> BodyModel:
    return BodyModel(name=body.name, vertices=body.num_vertices, sha256=body.sha256)


def _signature(*parts: Any) -> str:
    """Changes with everything that errors depend on."""
    plain = [{role: body.sha256 for role, body in p.items()} if isinstance(p, dict) else p for p in parts]
    return hashlib.sha256(repr((__version__, torch.__version__, plain)).encode()).hexdigest()


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise MissingFile(f"{path}: no such file; see hmr download --list, or train one")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
