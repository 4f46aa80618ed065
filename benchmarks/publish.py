"""Results of a run in the form in which they travel with the package, where `hmr table` reads them.

    data/results/open/RECIPE/   recipe.yaml, environment.json, metrics.jsonl: what was trained, where, how it went
        checkpoints/last/       meta.json: steps, and the SHA-256 of the weights
        open-test/, open-wild/  results.json, errors.npz

Weights are left out, and so is what tells of the machine: folders above the files that are named, and its name.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hmrcli.assets.npz import read_npz
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import whole_file
from hmrcli.recipe.document import dump_document
from hmrcli.results.runs import ERRORS_FILE, RESULTS_FILE, Results, Run, read_results, write_results
from hmrcli.results.trained import Trained, read_trained
from hmrcli.training.checkpoints import FOLDER, LAST, META_FILE, MODEL_FILE
from hmrcli.training.metrics import ENVIRONMENT_FILE, METRICS_FILE, RECIPE_FILE

_ENVIRONMENT = (
    "python", "packages", "device", "device_name", "threads", "processes", "command", "seed", "without", "open_prior",
    "smpl_labels", "static_fits", "validates", "precision", "pieces", "compile", "version", "git_commit", "started",
    "step", "resumed", "initialisation",
)  # fmt: skip
"""What is kept of an environment; nothing that is not named here."""
_FOLDERS = re.compile(
    r"""(?<![\w.:/\\])          # not within a word, a relative path or an address
        (?:~|\.\.|[A-Za-z]:)?   # home, the folder above, a drive
        [/\\](?=\S)             # the root
        (?:[^\s/\\,;'"{}\[\]]+[/\\])*""",
    re.VERBOSE,
)


def publish(evaluations: Sequence[Path], target: Path) -> None:
    """Copies evaluations of one run into the form in which results travel.

    Args:
        evaluations: folders of `hmr eval`, one for each test set.
        target: folder of the recipe's results, such as `data/results/open/open_hmr_l1`.

    Raises:
        MissingFile: an evaluation has no errors of its samples.
        BadInput: one cannot be read, is of other weights, or its training is not known.
    """
    runs = [Run(folder.name, read_results(folder / RESULTS_FILE), folder) for folder in evaluations]
    trained = _common(runs)
    environment = json.loads((trained.folder / ENVIRONMENT_FILE).read_text(encoding="utf-8"))
    _write(target / RECIPE_FILE, dump_document(without_folders(trained.recipe.as_dict())))
    _write(target / ENVIRONMENT_FILE, _json(without_machine(environment)))
    lines = [{"step": step, "validation": {"pa_mpjpe_mm": error}} for step, error in trained.validation]
    _write(target / METRICS_FILE, "".join(json.dumps(line) + "\n" for line in lines))
    hashes = {MODEL_FILE: trained.sha256}
    meta = {"step": trained.steps, "finished": trained.finished, "sha256": hashes}
    _write(target / FOLDER / LAST / META_FILE, _json(meta))
    for run in runs:
        folder = target / run.results.test_set
        _copy_errors(run.folder / ERRORS_FILE, folder / ERRORS_FILE)
        document = run.results.model_dump(mode="json")
        document["environment"] = without_machine(document["environment"])
        plain = Results.model_validate_json(json.dumps(without_folders(document)))
        write_results(folder / RESULTS_FILE, plain)


def _common(runs: Sequence[Run]) -> Trained:
    """Reads what all runs were trained with."""
    if len({run.results.checkpoint and run.results.checkpoint.sha256 for run in runs}) != 1:
        raise BadInput(
            f"{runs[0].folder}: the evaluations are of different weights; repeat them with hmr eval"
        )
    trained = read_trained(runs[0])
    if trained is None:
        raise BadInput(
            f"{runs[0].folder}: the run of the evaluated weights is not there; evaluate with --checkpoint RUN"
        )
    return trained


def without_machine(environment: dict[str, Any]) -> dict[str, Any]:
    """Keeps of an environment what is no matter of the machine's owner."""
    kept = {key: environment[key] for key in _ENVIRONMENT if key in environment}
    if "resumed" in kept:
        kept["resumed"] = [without_machine(each) for each in kept["resumed"]]
    return without_folders(kept)


def without_folders(value: Any) -> Any:
    """Returns plain data whose texts name files without the folders from the root, the home or the folder above on."""
    if isinstance(value, dict):
        return {key: without_folders(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_folders(part) for part in value]
    return _FOLDERS.sub("", value) if isinstance(value, str) else value


def _copy_errors(source: Path, target: Path) -> None:
    """Copies the errors by sample in single precision; those by joint, which are larger, are left out."""
    if not source.is_file():
        raise MissingFile(f"{source} is not there; hmr eval writes it beside its results")
    arrays = {name: values for name, values in read_npz(source).items() if values.ndim == 1}
    kept = {name: v.astype(np.float32) if v.dtype.kind == "f" else v for name, v in arrays.items()}
    with whole_file(target) as temporary:
        np.savez_compressed(temporary, **kept)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
