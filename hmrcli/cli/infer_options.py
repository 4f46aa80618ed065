"""Options of `hmr infer`, from text to what is asked of every image."""

import math
from enum import StrEnum
from typing import TYPE_CHECKING

from hmrcli.errors import UsageError
from hmrcli.files import near

if TYPE_CHECKING:
    from hmrcli.inference.task import Asked

SAVES = ("overlay", "mesh", "json", "npz", "amass", "bvh", "openpose", "coco")
MeshFormat = StrEnum("MeshFormat", ["glb", "obj", "ply"])
"""Kinds of mesh file."""


class Smooth(StrEnum):
    """How much of a clip's motion is taken for noise."""

    none = "none"
    light = "light"
    strong = "strong"


class BvhNames(StrEnum):
    """Names of the joints in BVH files."""

    smpl = "smpl"
    mixamo = "mixamo"


def asked_of(
    save: str,
    mesh_format: MeshFormat,
    bvh_names: BvhNames,
    bbox: list[str] | None,
    bbox_scale: float | None,
    max_people: int | None,
    focal: str | None,
    calib: str | None,
    resume: bool,
) -> "Asked":
    """Reads the options that are asked of every image."""
    from hmrcli.inference.task import Asked

    saves = {part.strip() for part in save.split(",") if part.strip()}
    if unknown := sorted(saves - set(SAVES)):
        raise UsageError(f"--save: '{unknown[0]}' is not one of {', '.join(SAVES)}{near(unknown[0], SAVES)}")
    if not saves:
        raise UsageError(f"--save: names nothing to write, expected some of {', '.join(SAVES)}")
    if resume and "json" not in saves:
        raise UsageError("--resume: what is done is told by the JSON files, so --save needs json")
    boxes = [_box(text) for text in bbox] if bbox else None
    if bbox_scale is not None and not 0.1 <= bbox_scale <= 10:
        raise UsageError(f"--bbox-scale: {bbox_scale:g} is not between 0.1 and 10")
    if focal and calib:
        raise UsageError("--calib: a calibration has its focal length; give it or --focal")
    from hmrcli.camera.calibration_files import read_calibration

    calibration = read_calibration(calib) if calib else None
    return Asked(
        saves=saves,
        mesh_format=mesh_format.value,
        bvh_names=bvh_names.value,
        boxes=boxes,
        bbox_scale=bbox_scale,
        max_people=max_people,
        focal=_focal(focal),
        calibration=calibration,
        resume=resume,
    )


def _focal(text: str | None) -> tuple[str, float] | None:
    """Reads the unit and value of --focal: `px`, or `mm` on 35 mm film."""
    if text is None:
        return None
    unit = "mm" if text.startswith("35mm=") else "px"
    try:
        value = float(text.removeprefix("35mm=").removesuffix(unit))
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(f"--focal: '{text}' is no length, expected pixels (1500) or 35mm=MM (35mm=28)")
    return unit, value


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        x = y = width = height = math.nan
    if not all(map(math.isfinite, (x, y, width, height))):
        raise UsageError(f"--bbox: '{text}' is not four numbers x,y,w,h in pixels")
    if width <= 0 or height <= 0:
        raise UsageError(f"--bbox: '{text}' needs a width and a height above 0")
    return x, y, width, height
