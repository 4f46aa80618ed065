"""Names of files and folders in recipes, which cannot lead out of where they belong."""

import re
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

_LONGEST_NAME = 100


def _below(name: str, info: ValidationInfo, written: bool = False) -> str:
    """Returns a name that cannot lead out of the folder it belongs to, or is an absolute path that the user typed.

    What a run recorded may name any file to read; a file to be written has to be typed.
    """
    context = info.context or {"typed": (name,)}
    typed = name in context["typed"] or (context.get("record") and not written)
    parts = re.split(r"[/\\]", name)
    if not parts[-1] or ".." in parts or not name.isprintable():
        raise ValueError("the name of a file in its folder below the data root")
    if (not parts[0] or ":" in name or "\\" in name) and not typed:
        raise ValueError(
            "the name of a file in its folder below the data root (an absolute path is given as KEY=VALUE)"
        )
    return name


def _folder(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name) or len(name) > _LONGEST_NAME or name.endswith("."):
        raise ValueError("a name of letters, digits, _, - and . alone")
    return name


File = Annotated[str, AfterValidator(_below)]
"""Name of a file in its folder below the data root, or an absolute path, which recipe files do not hold."""
Written = Annotated[str, AfterValidator(partial(_below, written=True))]
"""The same, of a file that is written."""
Name = Annotated[str, AfterValidator(_folder)]
"""Name of a folder."""
