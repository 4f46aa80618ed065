"""Looks through a finished annotation file and its images for what is wrong, and says where."""

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotation_npz import AnnotationNpz
from hmrcli.data.annotations import Annotations, spread
from hmrcli.data.images import missing_images, read_bgr
from hmrcli.data.label_agreement import IN_2D, Problem, labelled
from hmrcli.data.label_checks import doubts
from hmrcli.data.label_sheet import draw_sheet
from hmrcli.data.label_sides import Progress, exchanged_sides
from hmrcli.data.projection import Projection, compare
from hmrcli.data.workers import start_worker
from hmrcli.errors import BadInput, MissingFile

ROWS, SHOWN = 10_000, 16
"""Rows whose labels are compared with each other, and that are drawn."""
_FEWEST = 6
"""Bodies that say something."""
_FAR = 0.1
"""Of a box's side: right labels and bodies are nearer to each other in the median."""


@dataclass
class Report:
    """Findings in a file, as `hmr data check` tells them."""

    file: str
    images: str
    """Their folder."""
    rows: int = 0
    published_rows: int | None = None
    labelled: dict[str, int] = field(default_factory=dict)
    """Rows with each kind of label."""
    pictures: int = 0
    missing: int = 0
    decoded: int | None = None
    """None where they were not to be decoded."""
    projection: Projection | None = None
    sheet: str | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {
            "projection": self.projection and self.projection._asdict(),
            "problems": [{"field": each.field, "row": each.row, "text": each.text} for each in self.problems],
        }


def check_file(
    path: Path,
    folder: Path,
    bodies: Mapping[str, BodyModel],
    *,
    published_rows: int | None = None,
    decode: bool = False,
    workers: int = 1,
    sheet: Path | None = None,
    seen_by_network: bool = True,
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Looks through a HumanData or SPIN file.

    Args:
        bodies: by gender; `n` at least.
        published_rows: rows of the published file.
        decode: all images, instead of looking whether they are there.
        sheet: PNG to draw samples to.
        seen_by_network: compare 2D keypoints with what the bundled landmark network sees in the samples.

    Raises:
        MissingFile: there is no such file.
    """
    report = Report(str(path), str(folder), published_rows=published_rows)
    try:
        rows = _read(path)
    except BadInput as error:
        report.problems.append(_of_reader(error, path))
        return report
    report.rows = len(rows)
    report.labelled = {kind: int(some.sum()) for kind, some in labelled(rows).items()}
    report.notes += _notes(path, report)
    _look_at_images(rows, folder, report, decode, workers, progress)
    progress("comparing labels", 0, 1)
    found = list(doubts(rows, folder, ROWS))
    report.problems += [*found, *_upside_down(rows)]
    if rows.has_smpl.any():
        progress("projecting bodies", 0, 1)
        _project(rows, bodies, report, {problem.field for problem in found})
    few = spread(len(rows), SHOWN)
    there = np.array([row for row in few if (folder / str(rows.image_path[row])).is_file()], np.int64)
    if len(there):
        if seen_by_network:
            report.problems += exchanged_sides(rows[there], there, folder, progress)
        if sheet is not None:
            draw_sheet(sheet, rows[there], there, folder)
            report.sheet = str(sheet)
    return report


def _read(path: Path) -> Annotations:
    """Reads the file with the joints that bodies have; with OpenPose's where it has no others."""
    rows = read_annotations(path, "smpl_54", cameras=True)
    if rows.keypoints2d is None or labelled(rows)[IN_2D].any():
        return rows
    other = read_annotations(path, "smpl_49", cameras=True)
    return other if labelled(other)[IN_2D].any() else rows


def _of_reader(error: BadInput, path: Path) -> Problem:
    text = str(error).removeprefix(f"{path}: ")
    found = re.match(r"field ([\w.]+)(?:, row (\d+))?", text)
    name, row = found.groups() if found else ("", None)
    return Problem(name, int(row) if row else None, text)


def _notes(path: Path, report: Report) -> Iterator[str]:
    if report.published_rows is not None and report.rows != report.published_rows:
        yield f"{report.rows:,} rows; the published file has {report.published_rows:,}"
    if path.suffix == ".npz":
        with AnnotationNpz(path) as stored:
            if "bbox_xywh" in stored and stored.header("bbox_xywh").shape[1] == 4:
                yield "bbox_xywh has 4 columns; HumanData has 5, the last a score: read here, not by MMHuman3D"


def _look_at_images(
    rows: Annotations, folder: Path, report: Report, decode: bool, workers: int, progress: Progress
) -> None:
    """Counts what is missing; of decoded ones, also what is damaged, and rows that do not lie in them."""
    names, first, image = np.unique(rows.image_path, return_index=True, return_inverse=True)
    report.pictures = len(names)
    missing = missing_images(folder, names)
    report.missing = len(missing)
    if missing:
        row = int(first[np.searchsorted(names, missing[0])])
        text = f"{len(missing):,} of {len(names):,} images are missing below {folder}, first {missing[0]}"
        report.problems.append(Problem("image_path", row, text))
    if not decode:
        return
    todo = np.flatnonzero(~np.isin(names, np.array(missing, names.dtype)))
    sizes = np.full((len(names), 2), np.nan)
    damaged: list[Problem] = []
    look = partial(_decoded_size, folder)
    for done, (number, size) in enumerate(zip(todo, _mapped(look, names[todo].tolist(), workers)), 1):
        progress("decoding images", done, len(todo))
        if isinstance(size, str):
            damaged.append(Problem("image_path", int(first[number]), size))
        else:
            sizes[number] = size
    report.decoded = len(todo) - len(damaged)
    report.problems += damaged[:10]
    if len(damaged) > 10:
        report.problems.append(Problem("image_path", None, f"{len(damaged)} images in all cannot be decoded"))
    report.problems += _outside(rows, sizes[image])


def _mapped(look: Callable[[str], Any], names: list[str], workers: int) -> Iterator[Any]:
    if workers == 1:
        yield from map(look, names)
    else:
        with ProcessPoolExecutor(workers, initializer=start_worker) as pool:
            yield from pool.map(look, names, chunksize=64)


def _decoded_size(folder: Path, name: str) -> tuple[int, ...] | str:
    """Measures width and height, or says what is wrong with an image."""
    try:
        return read_bgr(folder / name).shape[1::-1]
    except BadInput as error:
        return str(error)


def _outside(rows: Annotations, sizes: NDArray[np.float64]) -> Iterator[Problem]:
    """Finds rows of which nothing lies in their picture (N, 2: width and height, NaN where unknown)."""
    low = rows.bbox_xywh[:, :2].astype(np.float64)
    high = low + rows.bbox_xywh[:, 2:]
    out = ((high <= 0) | (low >= sizes)).any(1)
    if out.any():
        yield Problem("bbox_xywh", int(out.argmax()), f"{out.sum()} boxes lie outside of their pictures")
    if rows.keypoints2d is not None:
        points, known = rows.keypoints2d[..., :2], rows.keypoints2d[..., 2] > 0
        off = ((points < 0) | (points > sizes[:, None])).any(2) & known
        out = (off.sum(1) == known.sum(1)) & known.any(1)
        if out.any():
            text = f"of {out.sum()} rows no 2D keypoint lies in the picture"
            yield Problem("keypoints2d", int(out.argmax()), text)


def _upside_down(rows: Annotations) -> Iterator[Problem]:
    """Says where most bodies have their heads below them, which no set has in the camera's axes."""
    known = np.flatnonzero(rows.has_smpl)
    if len(known) < _FEWEST:
        return
    known = known[spread(len(known), ROWS)]
    turns = rotmat_from_pose(torch.from_numpy(np.array(rows.pose[known])))
    down = turns[:, 0, 1, 1]  # where the body's y points
    if (share := float((down > 0).float().mean())) > 0.7:
        text = (
            f"{share:.0%} of the bodies stand on their heads: expected the root's rotation in the camera's axes, "
            "x right, y down, z forward"
        )
        yield Problem("smpl.global_orient", int(known[int(down.argmax())]), text)


def _project(rows: Annotations, bodies: Mapping[str, BodyModel], report: Report, seen: set[str]) -> None:
    try:
        found = compare(rows, bodies)
    except MissingFile as lacking:
        report.notes.append(f"bodies are not projected: {lacking}")
        return
    report.projection = found
    told = seen & {"smpl", "smpl.transl", "smpl.body_pose"}
    if found is not None and found.camera == "file" and found.median_share > _FAR and not told:
        text = (
            f"bodies projected by the file's camera lie {found.median_share:.2f} of a box's side away from "
            f"{found.target} in the median; expected transl in the camera's axes, in metres, and a camera in pixels "
            "of the picture"
        )
        report.problems.append(Problem("smpl.transl", found.worst_row, text))
