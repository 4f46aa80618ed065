"""Body: its model, rotations, joint sets, camera and mesh levels.

Importing this package costs nothing: names are looked up on first use, so torch is imported by what needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmrcli.body.levels import MeshLevels as MeshLevels
    from hmrcli.body.load import load_body as load_body
    from hmrcli.body.model import BodyModel as BodyModel
    from hmrcli.body.model import BodyOutput as BodyOutput
    from hmrcli.body.model import TextureMap as TextureMap

_HOMES = {
    **dict.fromkeys(("BodyModel", "BodyOutput", "TextureMap"), "model"),
    **{"MeshLevels": "levels", "load_body": "load"},
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
