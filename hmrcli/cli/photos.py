"""Photos of `hmr infer`: many images into files, told to a person."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hmrcli.cli.console import Failures, bar, note, print_line

if TYPE_CHECKING:
    from hmrcli.inference.predictor import Predictor
    from hmrcli.inference.task import Asked, Result


def recover_photos(
    paths: Sequence[Path],
    out: Path,
    predictor: Callable[[], "Predictor"],
    asked: "Asked",
    failures: Failures,
    quiet: bool,
) -> list["Result"]:
    """Writes the files of images, and says of each what was found; gives those that are done."""
    from hmrcli.inference.recover import recover_images

    done: list[Result] = []
    try:
        with bar("images", shown=len(paths) > 1) as progress:
            progress(0, len(paths))
            for count, result in enumerate(recover_images(paths, out, predictor, asked), 1):
                for text in result.notes:
                    note(text)
                if result.error:
                    failures(result.path, result.error)
                else:
                    done.append(result)
                    if not (quiet or result.skipped):
                        print_line(_summary(result, "json" in asked.saves))
                progress(count, len(paths))
    except KeyboardInterrupt:
        on = "; the same command with --resume goes on" if "json" in asked.saves else ""
        note(f"interrupted: {len(done)} of {len(paths)} images are done{on}")
        raise typer.Exit(130) from None
    if skipped := sum(result.skipped for result in done):
        note(f"{skipped} of {len(paths)} images were done before and are skipped")
    return done


def _summary(result: "Result", with_json: bool) -> str:
    """Says who was found in an image, and which files were written."""
    people = result.entry["people"]
    found = "nobody found" if not people else f"{len(people)} {'person' if len(people) == 1 else 'people'}"
    files: dict[str, dict[str, None]] = {}
    for person in people:
        for kind, path in person["files"].items():
            files.setdefault(kind, {})[path] = None
    if with_json:
        files["json"] = {f"{result.target}.json": None}
    lines = [f"  {kind:9}{'  '.join(names)}" for kind, names in files.items()]
    return "\n".join([f"{result.path}: {found}", *lines])
