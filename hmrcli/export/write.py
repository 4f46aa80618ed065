"""The one door: motions of a photo or a clip into files of the kinds that are asked for."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from hmrcli.body import BodyModel
from hmrcli.export.amass import write_amass
from hmrcli.export.bvh import BvhNames, write_bvh
from hmrcli.export.gltf import write_glb
from hmrcli.export.keypoints import write_coco, write_openpose
from hmrcli.motion import Motion
from hmrcli.render.overlay import PALETTE

PERSON_KINDS = ("mesh", "amass", "bvh")
"""Kinds of which each person has a file."""
KINDS = (*PERSON_KINDS, "openpose", "coco")
"""Kinds of file, as `--save` names them."""
KEYPOINTS_END, COCO_END = "_keypoints.json", "_coco.json"


def person_end(kind: str, bvh_names: str = "smpl") -> str:
    """Returns what the name of a person's file ends in, after the person's number."""
    bvh = ".bvh" if bvh_names == "smpl" else f"_{bvh_names}.bvh"
    return {"mesh": ".glb", "amass": "_amass.npz", "bvh": bvh}[kind]


def prepare(body: BodyModel, kinds: Collection[str]) -> None:
    """Looks for what kinds of file need of a body, before long work.

    Raises:
        MissingFile: the body is an SMPL file, and the regressor of COCO's hips is not beside it.
    """
    if "coco" in kinds:
        _ = body.extra_regressor


def write_exports(
    motions: Sequence[Motion],
    target: Path,
    kinds: Collection[str],
    *,
    frame_count: int | None = None,
    bvh_names: BvhNames = "smpl",
    correctives: bool = False,
) -> dict[str, list[Path]]:
    """Writes files of some kinds; those that are not of this module's `KINDS` are left alone.

    Args:
        motions: of the people. `openpose` and `coco` need them in the camera's space; the other kinds also take a
            world's.
        target: folder and stem of the files, `target_1.bvh` and `target_coco.json` among them.
        frame_count: of the clip, for OpenPose's file of each frame; None for a photo, whose motions have one frame.
        bvh_names: as `write_bvh` takes them.
        correctives: as `write_glb` takes them.

    Returns:
        the paths of each kind: of each person in the order of the motions, or of all people.

    Raises:
        ValueError: keypoints in the image are asked for of motions in a world.
        OSError: a file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    writers: dict[str, Callable[[Motion, Path], Path]] = {
        "mesh": lambda motion, path: write_glb(
            motion, path, PALETTE[motion.track_id % len(PALETTE)], correctives
        ),
        "amass": write_amass,
        "bvh": lambda motion, path: write_bvh(motion, path, bvh_names),
    }
    written: dict[str, list[Path]] = {
        kind: [
            writers[kind](motion, beside(target, f"_{motion.track_id}{person_end(kind, bvh_names)}"))
            for motion in motions
        ]
        for kind in PERSON_KINDS
        if kind in kinds
    }
    if "openpose" in kinds:
        written["openpose"] = write_openpose(motions, _keypoint_paths(target, frame_count))
    if "coco" in kinds:
        name = int(target.name) if target.name.isdecimal() else target.name
        path = beside(target, COCO_END)
        written["coco"] = [write_coco(motions, path, lambda frame: name if frame_count is None else frame)]
    return written


def beside(target: Path, end: str) -> Path:
    """Returns the path of a file whose name is the target's and an end."""
    return target.with_name(target.name + end)


def _keypoint_paths(target: Path, frame_count: int | None) -> dict[int, Path]:
    """Names OpenPose's files, as it does: one beside a photo, or one for each frame in a folder of the clip.

    Files of the folder that an earlier, longer run left are removed.
    """
    if frame_count is None:
        return {0: beside(target, KEYPOINTS_END)}
    folder = beside(target, "_openpose")
    paths = {frame: folder / f"{target.name}_{frame:012d}{KEYPOINTS_END}" for frame in range(frame_count)}
    if folder.is_dir():
        for path in set(folder.iterdir()) - set(paths.values()):
            if path.name.startswith(f"{target.name}_") and path.name.endswith(KEYPOINTS_END):
                path.unlink()
    return paths
