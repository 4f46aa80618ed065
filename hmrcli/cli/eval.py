"""`hmr eval`: a network's errors under a stated protocol, or those of another system's arrays."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmrcli.cli import options
from hmrcli.cli.console import bar, print_json
from hmrcli.errors import UsageError
from hmrcli.files import writable_folder
from hmrcli.recipe.protocols import PROTOCOLS

if TYPE_CHECKING:
    from hmrcli.results.runs import Results


ProtocolName = StrEnum("ProtocolName", {name: name for name in PROTOCOLS})  # type: ignore[misc]

ARRAY_KEYS = (
    "joints3d (N,J,3), or vertices (N,V,3), or pose (N,72) with betas (N,10); unit: m or mm; image, id: match rows; "
    "root (N,3)"
)
TARGET_KEYS = "the same, and gender (N), valid (N,J), sequence (N), frame (N)"


def evaluate(
    recipe: options.Recipe = None,
    open: options.Open = False,
    checkpoint: options.Checkpoint = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Annotation file, or one below preprocessed_datasets/. By default the recipe's.",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images. By default the recipe's below datasets/.")
    ] = None,
    protocol: Annotated[
        ProtocolName | None, typer.Option(help="Rules of scoring. By default the recipe's.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="P.npz|FILE",
            help="Score these results of any system: what PHALP, 4D-Humans, WHAM, GVHMR or TRAM stored, a motion as "
            f"AMASS has it, or arrays. Keys: {ARRAY_KEYS}.",
        ),
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(metavar="T.npz", help=f"What --predictions are compared with. Keys: {TARGET_KEYS}."),
    ] = None,
    person: Annotated[
        str | None, typer.Option(metavar="ID", help="Of the people in --predictions, score this one.")
    ] = None,
    allow_missed: Annotated[
        bool,
        typer.Option(
            "--allow-missed",
            help="Targets that --predictions lacks, by image or id, count as missed: recall.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results.json, errors.npz and pictures. By default below runs/RECIPE/."),
    ] = None,
    device: options.Device = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Crops that go through the network at once.")] = 64,
    workers: options.Workers = None,
    data_root: options.DataRoot = None,
    as_json: options.AsJson = False,
) -> None:
    """Score a trained network on a test set, or arrays of any system.

    The protocol is printed with the result. An interrupted evaluation goes on where it was. With torchrun, several
    processes share the work: torchrun --nproc-per-node 2 -m hmrcli eval ...
    """
    from hmrcli.assets.data_root import data_root as find_root
    from hmrcli.training.metrics import RECIPE_FILE

    if recipe is None and checkpoint is not None and (checkpoint / RECIPE_FILE).is_file():
        out = out or checkpoint  # a run keeps its results
    recipe, checkpoint = options.of_run(recipe, checkpoint)
    arrays, network = (predictions, targets), (recipe, checkpoint)
    if any(arrays) == any(network) or not (all(arrays) or all(network)):
        raise UsageError("give --recipe and --checkpoint, or --predictions and --targets")
    if allow_missed and not any(arrays):
        raise UsageError("--allow-missed is for --predictions and --targets")
    if person is not None and not any(arrays):
        raise UsageError("--person is for --predictions and --targets")
    for name, path in {"predictions": predictions, "targets": targets}.items():
        if path is not None:
            options.existing(path, f"--{name}", "expected a file of arrays or of a system's results")
    if out is not None:
        writable_folder(out)
    if predictions and targets:
        from hmrcli.evaluation import ARRAYS, score_arrays
        from hmrcli.results.measure import results_of_arrays

        rules = PROTOCOLS[protocol] if protocol else ARRAYS
        scored = score_arrays(
            predictions, targets, rules, root=find_root(data_root), allow_missed=allow_missed, person=person
        )
        return _show(results_of_arrays(scored, predictions, targets, out), out, as_json)
    assert recipe and checkpoint
    from hmrcli.cli.open_sets import write_missing
    from hmrcli.data.needed import find_test_file, is_open_test
    from hmrcli.recipe import load_recipe

    root, resolved = find_root(data_root), load_recipe(recipe, open=open)
    path = find_test_file(resolved, root, dataset)  # before torch is loaded
    if is_open_test(path, root):
        write_missing({path.stem: None}, root)
    import torch

    from hmrcli.distributed import joined, rank_and_size, said_once
    from hmrcli.results.measure import evaluate_network, find_test

    test = find_test(resolved, root, dataset, protocol, images)
    # Only finished errors travel between processes, and those are on the CPU.
    with said_once(), joined(torch.device("cpu")), bar("samples", rank_and_size()[0] == 0) as progress:
        done = evaluate_network(
            resolved, checkpoint, test, root, out,
            device=device, batch_size=batch_size, workers=options.workers_of(workers), progress=progress,
        )  # fmt: skip
    if done is not None:
        _show(*done, as_json)


def _show(results: "Results", out: Path | None, as_json: bool) -> None:
    if as_json:
        return print_json(results.model_dump(mode="json") | {"out": None if out is None else str(out)})
    for score in results.scores:
        surface = f", {score.surface} mesh" if score.surface else ""
        print(f"{results.recipe or 'arrays'} on {results.dataset}{surface}: {results.samples} samples")
        for name, estimate in score.metrics.items():
            metric, _, unit = name.rpartition("_") if not name.endswith("frame2") else (name, "", "")
            unit = {"percent": "%"}.get(unit, unit)
            print(f"  {metric:9} {estimate.value:8.2f} {unit:3} [{estimate.low:.2f}, {estimate.high:.2f}]")
    print(f"protocol: {results.protocol}. {results.details['text']}")
    for text in results.details["notes"]:
        print(f"note: {text}")
    if out is not None:
        print(f"written to {out}")
