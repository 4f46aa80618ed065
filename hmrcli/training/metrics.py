"""The files of a run that others read, by name, and the lines of its metrics."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from hmrcli.errors import BadInput
from hmrcli.training.checkpoints import Count

RECIPE_FILE = "recipe.yaml"
ENVIRONMENT_FILE = "environment.json"
METRICS_FILE = "metrics.jsonl"

NEXT = "put the run's own file back, or begin another run with --out"

_Name = Annotated[str, StringConstraints(pattern=r"^\w{1,40}$")]

_Group = dict[_Name, Annotated[float, Field(gt=-1e300, lt=1e300)]]


class _Line(BaseModel):
    """A line of the metrics, as `Record.write` makes it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    step: Count
    epoch: Count = 0
    loss: _Group = {}
    speed: _Group = {}
    validation: _Group = {}
    mean_pose: _Group = {}


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Reads the lines of a run's metrics; a last line that was cut short is left out.

    Raises:
        BadInput: another line is none of `Record.write`; names it.
    """
    path = folder / METRICS_FILE
    try:
        texts = path.read_bytes().splitlines() if path.is_file() else []
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); {NEXT}") from error
    lines = []
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(_Line.model_validate_json(text).model_dump(exclude_unset=True))
        except ValidationError as error:
            if number < len(texts):
                raise BadInput(f"{path}:{number}: is no line that `hmr train` writes; {NEXT}") from error
    return lines
