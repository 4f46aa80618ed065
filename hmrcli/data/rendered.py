"""The open data set as annotations and files: what is rendered on the fly and what is read from disk are the same."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset

from hmrcli.data.annotations import Annotations
from hmrcli.data.body_parameters import write_fits
from hmrcli.data.compact import read_compact, write_compact
from hmrcli.data.human_data import write_human_data
from hmrcli.data.open_files import (
    annotation_file,
    fits_file,
    image_folder,
    image_name,
    mask_folder,
    mask_name,
    unfinished_folder,
)
from hmrcli.data.workers import start_worker
from hmrcli.errors import BadInput
from hmrcli.files import whole_file
from hmrcli.scenes.labels import Sample, render_sample
from hmrcli.scenes.splits import SPLITS, row_count
from hmrcli.scenes.subjects import first_fits

ROWS_A_PIECE = 50
"""What is lost at most when writing is interrupted, for each process."""

Progress = Callable[[int, int], None]


def annotations_of(split_name: str, rows: Sequence[int], samples: Sequence[Sample]) -> Annotations:
    """The labels of some rows, with SMPL's 54 keypoints."""
    keypoints3d = [sample.keypoints3d for sample in samples if sample.keypoints3d is not None]
    return Annotations(
        dataset=split_name,
        joints="smpl_54",
        image_path=np.array([image_name(row) for row in rows]),
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


def write_open_set(
    root: Path,
    split_name: str,
    rows: int | None = None,
    *,
    workers: int = 0,
    masks: bool = False,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Renders a part of the open data set to files under the data root; what an interrupted call made is kept.

    Args:
        root: the data root.
        split_name: of the part.
        rows: the first so many; all by default.
        workers: processes; 0 renders here.
        masks: also write masks of body parts.
        progress: called with rows done and all rows.

    Returns:
        the annotation file.

    Raises:
        BadInput: the disk is full, or may not be written to.
    """
    split = SPLITS[split_name]
    count = row_count(split_name, rows)
    path, images = annotation_file(root, split_name), image_folder(root, split_name)
    unfinished = unfinished_folder(images)
    pieces = _Pieces(split_name, count, images, unfinished, mask_folder(root, split_name) if masks else None)
    missing = [number for number in range(len(pieces)) if not pieces.is_done(number)]
    done = count - sum(len(pieces.rows(number)) for number in missing)
    progress(done, count)
    made = DataLoader(
        pieces, batch_size=None, sampler=missing, num_workers=workers, worker_init_fn=start_worker
    )
    for result in made:
        if isinstance(result, OSError):
            raise BadInput(f"{images}: {result.strerror or result}; the pictures cannot be written there")
        done += result
        progress(done, count)
    if split.training:
        write_fits(fits_file(root, split_name), np.concatenate(first_fits(split_name, count), 1))
    write_human_data(path, _joined([read_compact(pieces.file(number)) for number in range(len(pieces))]))
    shutil.rmtree(unfinished)
    return path


class _Pieces(Dataset[int | OSError]):
    """The rows of a part in groups, each of which is written when it is asked for."""

    def __init__(
        self, split_name: str, count: int, images: Path, unfinished: Path, masks: Path | None
    ) -> None:
        self.split_name, self.count, self.images = split_name, count, images
        self.unfinished, self.masks = unfinished, masks

    def __len__(self) -> int:
        return -(-self.count // ROWS_A_PIECE)

    def rows(self, number: int) -> range:
        first = number * ROWS_A_PIECE
        return range(first, min(first + ROWS_A_PIECE, self.count))

    def file(self, number: int) -> Path:
        rows = self.rows(number)
        return self.unfinished / f"{rows[0]}-{rows[-1]}.safetensors"

    def is_done(self, number: int) -> bool:
        if self.masks is not None and not (self.masks / mask_name(self.rows(number)[-1])).is_file():
            return False
        return self.file(number).is_file()

    def __getitem__(self, number: int) -> int | OSError:
        rows, samples = self.rows(number), []
        try:
            for row in rows:
                samples.append(render_sample(self.split_name, row))
                with whole_file(self.images / image_name(row)) as temporary:
                    temporary.write_bytes(samples[-1].jpeg)
                if self.masks is not None:
                    with whole_file(self.masks / mask_name(row)) as temporary:
                        temporary.write_bytes(cv2.imencode(".png", samples[-1].parts)[1].tobytes())
            write_compact(self.file(number), annotations_of(self.split_name, rows, samples))
        except OSError as error:  # raised in a worker, it would reach the user as a traceback
            return error
        return len(rows)


def _joined(pieces: Sequence[Annotations]) -> Annotations:
    arrays: dict[str, Any] = {
        name: np.concatenate([piece.arrays()[name] for piece in pieces]) for name in pieces[0].arrays()
    }
    return replace(pieces[0], **arrays)
