"""Measured results: the `results.json` that `hmr eval` writes and `hmr table --compare` reads. docs/results.md has
an example.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from hmrcli.assets.bundled import bundled
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import read_record, write_whole

RESULTS_FILE, ERRORS_FILE = "results.json", "errors.npz"
_NEXT = "`hmr eval` writes such a file anew"


def _printable(text: str) -> str:
    if not text.isprintable():  # what is shown in a terminal must not be able to steer it
        raise ValueError("has characters that cannot be printed")
    return text


Text = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


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

    surface: Literal["parametric", "free"] | None = None
    """GraphCMR: the body of its regressed parameters, or the mesh that its graph network moves freely."""
    metrics: Annotated[Mapping[Text, Estimate], Field(min_length=1)]
    """By name with unit: `pa_mpjpe_mm`, `mpjpe_mm`, `pve_mm`, …"""


class BodyModel(Part):
    """The body, `open` or `smpl`, that made the targets and, for parametric networks, the prediction."""

    name: Text
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
    """Details that a reader may want: the protocol in full, errors by joint, files."""

    @property
    def test_set(self) -> str:
        """Name of the data set; its file may be written with underscores."""
        return self.dataset.replace("_", "-")


class Run(NamedTuple):
    """Results and where they lie."""

    name: str
    """Folder of the file below the results' folder, with `/`."""
    results: Results
    folder: Path
    """Folder in which the file lies."""
    shipped: bool = False
    """Measured by the developers: it travels with the package."""

    @property
    def score(self) -> Score:
        """Returns the score that counts."""
        return self.results.scores[0]

    @property
    def pa_mpjpe(self) -> Estimate:
        """Returns the figure that is compared."""
        return self.score.metrics["pa_mpjpe_mm"]


def write_results(path: Path, results: Results) -> None:
    """Writes results as JSON; the file is whole or absent."""
    write_whole(path, results.model_dump_json(indent=2) + "\n")


def read_results(path: Path) -> Results:
    """Reads a results file; raises BadInput with file and field where it is none."""
    try:
        return read_record(path, Results, _NEXT)
    except MissingFile as error:  # a link to nowhere
        raise BadInput(f"{path}: cannot be read (it is gone); {_NEXT}") from error


def read_runs(folder: Path, shipped: bool = False) -> tuple[list[Run], list[BadInput]]:
    """Reads every `results.json` below a folder, newest first; also returns what is wrong with those it cannot read.

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


def shipped_runs() -> list[Run]:
    """Reads the results that travel with the package, newest first; raises BadInput where one is damaged.

    benchmarks/publish.py writes them.
    """
    runs, bad = read_runs(bundled("results/open"), shipped=True)
    if bad:
        raise bad[0]
    return runs


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """Sorts runs by the time of their evaluation."""
    return sorted(runs, key=lambda run: run.results.created, reverse=True)
