"""The door of the rendered data set: writes its sets below the data root, as HumanData and JPEG files."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset

from hmrcli.assets.data_root import FITS
from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import write_fits
from hmrcli.data.compact import COMPACT_SUFFIX, read_compact, write_compact
from hmrcli.data.human_data import write_human_data
from hmrcli.data.workers import start_worker
from hmrcli.errors import BadInput
from hmrcli.files import alone_in, whole_file
from hmrcli.scenes.files import (
    annotation_file,
    edition_name,
    image_folder,
    image_name,
    mask_folder,
    row_count,
    written_rows,
)
from hmrcli.scenes.labels import Sample, render_sample
from hmrcli.scenes.splits import EDITION
from hmrcli.scenes.subjects import first_fits

ROWS_A_GROUP = 50
"""Rows lost at most when writing is interrupted, for each process."""

Progress = Callable[[int, int], None]


def write_set(
    root: Path,
    name: str,
    rows: int | None = None,
    *,
    workers: int = 0,
    masks: bool = False,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Renders the first rows of a set to files, less those in place; what an interrupted call made is kept.

    Args:
        root: the data root.
        name: in `OPEN_SETS`.
        rows: the first so many; all by default.
        workers: processes; 0 renders here.
        masks: also write masks below `datasets/NAME-masks`: 1 + SMPL joint of the body part, 0 elsewhere.
        progress: called with rows done and all rows.

    Returns:
        the annotation file.

    Raises:
        BadInput: the disk is full, or may not be written to.
    """
    count, path, images = row_count(name, rows), annotation_file(root, name), image_folder(root, name)
    try:
        images.mkdir(parents=True, exist_ok=True)
        with alone_in(images):
            return _write(root, name, count, workers, masks, progress)
    except OSError as error:
        raise BadInput(f"{images}: {error.strerror or error}; {path.stem} cannot be written there") from None


def _write(root: Path, name: str, count: int, workers: int, masks: bool, progress: Progress) -> Path:
    path, images = annotation_file(root, name), image_folder(root, name)
    kept = written_rows(root, name, masks)
    if kept >= count:
        return path
    count = max(count, unmasked := written_rows(root, name))
    if not unmasked:  # of another edition: its images are about to be replaced
        path.unlink(missing_ok=True)
    known = [read_annotations(path, "smpl_54", name, cameras=True)] if kept else []
    groups = _Groups(name, range(kept, count), images, mask_folder(root, name) if masks else None)
    missing = [number for number in range(len(groups)) if not groups.is_done(number)]
    done = count - sum(len(groups.rows(number)) for number in missing)
    progress(done, count)
    if workers and missing:  # kernels are compiled here, once, and not by each of the workers
        render_sample(name, groups.rows(missing[0])[0])
    made = DataLoader(
        groups, batch_size=None, sampler=missing, num_workers=workers, worker_init_fn=start_worker
    )
    for result in made:
        if isinstance(result, OSError):
            raise result
        done += result
        progress(done, count)
    if OPEN_SETS[name].training:
        fits = root / FITS / f"{name}_fits.npy"
        write_fits(fits, np.concatenate(first_fits(name, count), 1))
    known += [read_compact(groups.file(number)) for number in range(len(groups))]
    write_human_data(path, replace(_joined(known), dataset=edition_name(name)))
    shutil.rmtree(groups.unfinished)
    return path


class _Groups(Dataset[int | OSError]):
    """Rows of a set in groups, each of which is written when it is asked for."""

    def __init__(self, name: str, every: range, images: Path, masks: Path | None) -> None:
        self.name, self.every, self.images, self.masks = name, every, images, masks
        self.unfinished = images / f".unfinished-{EDITION}"

    def __len__(self) -> int:
        return -(-len(self.every) // ROWS_A_GROUP)

    def rows(self, number: int) -> range:
        return self.every[number * ROWS_A_GROUP : (number + 1) * ROWS_A_GROUP]

    def file(self, number: int) -> Path:
        rows = self.rows(number)
        return self.unfinished / f"{rows[0]}-{rows[-1]}{COMPACT_SUFFIX}"

    def is_done(self, number: int) -> bool:
        if self.masks is not None and not (self.masks / image_name(self.rows(number)[-1], ".png")).is_file():
            return False
        return self.file(number).is_file()

    def __getitem__(self, number: int) -> int | OSError:
        rows, samples = self.rows(number), []
        try:
            for row in rows:
                samples.append(render_sample(self.name, row))
                with whole_file(self.images / image_name(row)) as temporary:
                    temporary.write_bytes(samples[-1].jpeg)
                if self.masks is not None:
                    with whole_file(self.masks / image_name(row, ".png")) as temporary:
                        temporary.write_bytes(cv2.imencode(".png", samples[-1].parts)[1].tobytes())
            write_compact(self.file(number), annotations_of(self.name, list(map(image_name, rows)), samples))
        except OSError as error:  # raised in a worker, it would reach the user as a traceback
            return error
        return len(rows)


def annotations_of(name: str, images: Sequence[str], samples: Sequence[Sample]) -> Annotations:
    """Returns the labels of samples (N), whose images have these paths, as a set of that name."""
    keypoints3d = [sample.keypoints3d for sample in samples if sample.keypoints3d is not None]
    return Annotations(
        dataset=name,
        joints="smpl_54",
        image_path=np.array(images),
        bbox_xywh=np.stack([sample.bbox_xywh for sample in samples]),
        keypoints2d=np.stack([sample.keypoints2d for sample in samples]),
        keypoints3d=np.stack(keypoints3d) if keypoints3d else None,
        pose=np.stack([sample.pose for sample in samples]),
        betas=np.stack([sample.betas for sample in samples]),
        has_smpl=np.array([sample.has_smpl for sample in samples]),
        gender=np.full(len(samples), "n"),
        transl=np.stack([sample.transl for sample in samples]),
        intrinsics=np.stack([sample.intrinsics for sample in samples]),
    )


def _joined(parts: Sequence[Annotations]) -> Annotations:
    arrays: dict[str, Any] = {
        name: np.concatenate([part.arrays()[name] for part in parts]) for name in parts[0].arrays()
    }
    return replace(parts[0], **arrays)
