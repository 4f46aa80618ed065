"""Measured results: the `results.json` that `hmr eval` writes and `hmr table --compare` reads.

One file holds one evaluation of one network:

    {"recipe": "graphcmr_l1", "protocol": "3dpw", "dataset": "pw3d", "samples": 35515,
     "scores": [{"surface": "parametric",
                 "metrics": {"pa_mpjpe_mm": {"value": 67.31, "low": 67.02, "high": 67.6}, "mpjpe_mm": {…}}},
                {"surface": "free", "metrics": {…}}],
     "body_model": {"name": "smpl", "vertices": 6890, "sha256": "…"},
     "checkpoint": {"path": "…", "sha256": "…"},
     "environment": {…}, "created": "2026-01-31T12:00:00+00:00", "version": "0.1.0", "details": {…}}

`recipe`, `checkpoint` and `body_model` are null where arrays of another system were scored. `surface` is null for a
network with one mesh; the first score is the one compared. `low` and `high` are the ends of a 95 % interval.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import open_file, whole_file

RESULTS_FILE = "results.json"
_LARGEST = 16_000_000
"""Bytes; a longer file is no summary of an evaluation."""
_NEXT = "`hmr eval` writes such a file anew"


def _printable(text: str) -> str:
    if not text.isprintable():  # what is shown in a terminal must not be able to steer it
        raise ValueError("has characters that cannot be printed")
    return text


Text = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Surface = Literal["parametric", "free"]


class Part(BaseModel):
    """A part of a results file: frozen, no silent conversions."""

    # Unknown keys are let through, so that files of a later version still count.
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class Estimate(Part):
    """A mean over samples and its bootstrap 95 % interval, in the metric's own unit."""

    value: float
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"expected low <= value <= high, found {self.low}, {self.value}, {self.high}")
        return self


class Score(Part):
    """The metrics of one mesh."""

    surface: Surface | None = None
    """GraphCMR: the body of its regressed parameters, or the mesh that its graph network moves freely."""
    metrics: Annotated[Mapping[Text, Estimate], Field(min_length=1)]
    """By name with unit: `pa_mpjpe_mm`, `mpjpe_mm`, `pve_mm`, …"""


class BodyModel(Part):
    """The body that made the ground truth and, for parametric networks, the prediction."""

    name: Text
    """`open` or `smpl`."""
    vertices: Annotated[int, Field(ge=1)]
    sha256: Sha256


class Checkpoint(Part):
    """The evaluated weights."""

    path: Text
    sha256: Sha256


class Results(Part):
    """One evaluation."""

    recipe: Text | None
    protocol: Text
    """Name of the protocol: `3dpw`, `h36m` or `open`."""
    dataset: Text
    """Name of the dataset, or the annotation file's."""
    samples: Annotated[int, Field(ge=1)]
    scores: Annotated[tuple[Score, ...], Field(min_length=1)]
    body_model: BodyModel | None
    checkpoint: Checkpoint | None
    environment: Mapping[str, Any]
    created: AwareDatetime
    version: Text
    """Of hmrcli."""
    details: Mapping[str, Any] = {}
    """What a reader may want to know beside: the protocol in full, errors by joint, files."""


class Run(NamedTuple):
    """Results and where they lie."""

    name: str
    """Folder of the file below the results' folder, with `/`."""
    results: Results
    folder: Path
    """Where the file lies."""
    shipped: bool = False
    """Measured by the developers: it travels with the package."""


def write_results(path: Path, results: Results) -> None:
    """Writes results as JSON; the file is whole or absent."""
    with whole_file(path) as temporary:
        temporary.write_text(results.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_results(path: Path) -> Results:
    """Reads a results file.

    Raises:
        BadInput: it cannot be read or is no results file; names file, field and what was expected.
    """
    try:
        with open_file(path) as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise BadInput(f"{path}: is too large to be a results file; {_NEXT}")
        return Results.model_validate_json(text)
    except MissingFile as error:  # a link to nowhere
        raise BadInput(f"{path}: cannot be read (it is gone); {_NEXT}") from error
    except ValidationError as error:
        raise BadInput(f"{path}: {_explain(error)}; {_NEXT}") from error


def _explain(error: ValidationError) -> str:
    """The first wrong field and what was expected of it."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    message = "is missing" if first["type"] == "missing" else first["msg"]
    for words, ours in (
        ("Input should be", "expected"),
        ("Value error, ", ""),
        ("Invalid JSON:", "is no JSON:"),
    ):
        message = message.replace(words, ours)
    return f"`{field}`: {message}" if field else message


def read_runs(folder: Path, shipped: bool = False) -> tuple[list[Run], list[BadInput]]:
    """Every readable `results.json` below a folder, newest first, and what is wrong with the others.

    A folder that does not exist holds no results.
    """
    runs, bad = [], []
    for path in sorted(folder.rglob(RESULTS_FILE)):
        try:
            results = read_results(path)
        except BadInput as error:
            bad.append(error)
            continue
        name = path.parent.relative_to(folder).as_posix()
        name = path.parent.resolve().name if name == "." else name
        name = "".join(c if c.isprintable() else "?" for c in name)
        runs.append(Run(name, results, path.parent, shipped))
    return newest_first(runs), bad


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """Runs by the time of their evaluation."""
    return sorted(runs, key=lambda run: run.results.created, reverse=True)
