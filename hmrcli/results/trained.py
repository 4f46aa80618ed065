"""The training of the weights behind a result, from the files of its run, which also travel with published results.

Weights are recognised by their SHA-256, so that a result never gets the recipe of other weights.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import read_record
from hmrcli.recipe import Recipe, load_recipe, source_of
from hmrcli.results.runs import Count, Part, Run, Text
from hmrcli.training.checkpoints import FOLDER, META_FILE, MODEL_FILE
from hmrcli.training.metrics import ENVIRONMENT_FILE, RECIPE_FILE, read_metrics


class _Meta(Part):
    """Facts in a checkpoint's `meta.json`."""

    step: Count
    finished: bool = False
    sha256: Mapping[str, str] = {}


class Environment(Part):
    """Facts in a run's `environment.json`."""

    without: tuple[Text, ...] = ()
    """Training sets that were left out."""
    smpl_labels: Mapping[Text, Text] = {}
    """Sources of the SMPL labels of training sets, if their files tell."""
    static_fits: Mapping[Text, Text] = {}
    """How the fits that SPIN starts from were made, where it was on this machine."""
    initialisation: Text | None = None
    """Start of the weights, if the run recorded it."""


class Change(NamedTuple):
    """A key of a recipe that has not the value of the bundled recipe."""

    key: str
    value: str
    recipe: str

    def __str__(self) -> str:
        return f"{self.key}={self.value} (recipe: {self.recipe})"


class Trained(NamedTuple):
    """Sources that a network learnt from."""

    folder: Path
    recipe: Recipe
    environment: Environment
    sha256: str
    """Of the weights."""
    steps: int
    """Before the weights were saved."""
    finished: bool
    """True where the run went to the end of its recipe."""
    validation: list[tuple[int, float]]
    """Step and PA-MPJPE in mm of each evaluation while training."""

    @property
    def images_seen(self) -> int:
        """Samples that the steps took, each drawn anew."""
        return self.steps * self.recipe.schedule.batch_size

    @property
    def curve(self) -> list[tuple[int, float]]:
        """Images seen and PA-MPJPE in mm at each evaluation while training."""
        return [(step * self.recipe.schedule.batch_size, error) for step, error in self.validation]

    @property
    def saw_3dpw(self) -> bool:
        """True where a set of 3DPW was in the training."""
        used = {k: each for k, each in self.recipe.data.mixture.items() if k not in self.environment.without}
        names = [*used, *(Path(each.annotations).name for each in used.values())]
        return any(name.startswith(("pw3d", "3dpw")) for name in names)

    @property
    def initialisation(self) -> str:
        """Tells where the weights started."""
        if self.environment.initialisation is not None:
            return self.environment.initialisation
        start = self.recipe.network.initialisation
        files = start and (start.backbone, start.network and f"{start.network} (whole network)")
        return ", ".join(filter(None, files or ())) or "random"

    @property
    def described(self) -> str:
        """Differences of the training from the bundled recipe, in words; empty for that recipe as it stands."""
        changes, without = ", ".join(map(str, self.changes)), ", ".join(self.environment.without)
        parts = {
            f"Reduced or changed: {changes}.": changes,
            f"Started from {self.environment.initialisation}.": self._other_start,
            f"Trained without {without}.": without,
            "Stopped before the end of the recipe.": not self.finished,
        }
        return " ".join(text for text, holds in parts.items() if holds)

    @property
    def changes(self) -> list[Change]:
        """Lists where the recipe differs from the bundled one of its name."""
        source = source_of(self.recipe.name)
        if source is None:
            return [Change("name", self.recipe.name, "none of the bundled ones")]
        ours, theirs = map(_texts, (self.recipe, load_recipe(source.name, open=source.open)))
        return [
            Change(key, ours.get(key, "absent"), theirs.get(key, "absent"))
            for key in theirs | ours
            if ours.get(key) != theirs.get(key)
        ]

    @property
    def departure(self) -> tuple[object, ...]:
        """Returns the same for two networks whose training departs from their recipes in the same way."""
        changes = [(change.key, change.value) for change in self.changes]
        return changes, self._other_start, self.environment.without, self.finished

    @property
    def _other_start(self) -> bool:
        """True where the run records that it did not start from the recipe's file."""
        start, recorded = self.recipe.network.initialisation, self.environment.initialisation
        wanted = start and (start.backbone or start.network)
        return bool(wanted and recorded and recorded != Path(wanted).name)


def _texts(recipe: Recipe) -> dict[str, str]:
    """Returns the values that training depends on as texts, by dotted key."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in recipe.leaves().items()
        if not key.startswith(("published", "exports"))
    }


def read_trained(run: Run) -> Trained | None:
    """Reads what the evaluated weights were trained with; None where nothing says so."""
    checkpoint = run.results.checkpoint
    if checkpoint is None:
        return None
    folders = [run.folder, run.folder.parent]
    if not run.shipped:  # those of the package name no place on this machine
        folders += Path(checkpoint.path).parents[2:3]
    for folder in folders:
        with suppress(BadInput, MissingFile):  # of another version: what it says is not known
            if trained := _read(folder, checkpoint.sha256):
                return trained
    return None


def _read(folder: Path, sha256: str) -> Trained | None:
    """Gathers what a run left in its folder; None for other weights."""
    metas = []
    for path in sorted(folder.glob(f"{FOLDER}/*/{META_FILE}")):
        with suppress(BadInput, MissingFile):  # a record of something else
            metas.append(read_record(path, _Meta, ""))
    steps = [meta.step for meta in metas if meta.sha256.get(MODEL_FILE) == sha256]
    if not steps:
        return None
    about = folder / ENVIRONMENT_FILE
    measured = [line for line in read_metrics(folder) if "pa_mpjpe_mm" in line.get("validation", {})]
    return Trained(
        folder,
        load_recipe(folder / RECIPE_FILE),
        read_record(about, Environment, "") if about.is_file() else Environment(),
        sha256,
        steps[0],
        any(meta.finished for meta in metas),
        [(line["step"], line["validation"]["pa_mpjpe_mm"]) for line in measured],
    )
