"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Recipe = Annotated[
    str | None,
    typer.Option(help="Recipe of a trained network: a bundled name or a YAML file. Needs --checkpoint."),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="The network's weights, ours or published; or a run's folder, without --recipe."),
]
Device = Annotated[
    str | None,
    typer.Option(help="Where networks run: cpu, cuda, cuda:1, mps. By default the fastest there is."),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(help="Folder of fetched files. By default HMR_DATA, ./data, the user's data folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def of_run(recipe: str | None, checkpoint: Path | None) -> tuple[str | None, Path | None]:
    """Recipe and weights; those of a run where only its folder was given."""
    if recipe is None and checkpoint is not None and checkpoint.is_dir():
        from hmrcli.training.folders import trained

        path, weights = trained(checkpoint)
        return str(path), weights
    return recipe, checkpoint
