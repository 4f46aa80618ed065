"""How the landmark networks err, their depths averaged: measured on rendered people, to be imitated without pictures.

    python data/build/landmark_errors.py 0 1400      # rows; parts that were read before are kept

Rows of `open-fitted` are painted anew, without the poses that come from footage, and read by the landmark networks in
one look at a crop around the person.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from packages import FOLDER
from safetensors.torch import load_file, save_file
from torch import Tensor

from hmrcli.body import load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.fitting.landmarks import NAMES, attachments
from hmrcli.fitting.lifting import Sighting, centered, flipped, mirrored_joints, shares, sighting
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.fitting.targets import seen_targets, view_rotation
from hmrcli.inference.photo import Photo
from hmrcli.people.blazepose import read_crops
from hmrcli.people.crops import upright_crops, warp_crops
from hmrcli.people.landmarks import in_image
from hmrcli.scenes.labels import Sample, render_sample
from hmrcli.scenes.poses import POOLS
from hmrcli.scenes.sample import draw_subject
from hmrcli.scenes.splits import SIZE, SPLITS

CACHE = FOLDER / "landmark_errors"
PART = 100
"""Rows of a file of the cache."""
SPLIT = "open-fitted"
WRITTEN = ("studio", "train")
"""Sections of the pose bank: written by hand, and in no test."""
RIDGE, SHRINKAGE, LONGEST = 2.0, 0.1, 3.0
"""Of the response; of the correlations; deviations beyond which an error is held."""
FEWEST = 20
"""Landmarks of a kind by which its errors are measured."""
SURE, SEEN = 0.95, 0.5
"""Confidence above which a landmark's errors are those of sure ones, or of seen ones."""


class Read(NamedTuple):
    """N people as the landmark network sees them, and as they are; in axes of a camera that looks at the person."""

    places: Tensor
    points3d: Tensor
    confidence: Tensor
    """See `Sighting`."""
    truth: Tensor
    """(N, 27, 3) metres from the camera."""
    rotmat: Tensor
    """(N, 23, 3, 3) of the joints below the root."""

    def seen(self) -> Sighting:
        """Gives what the lifter reads."""
        return Sighting(*self[:3])

    def mirrored(self) -> "Read":
        """Exchanges left and right."""
        truth = flipped(Sighting(self.places, self.truth, self.confidence)).points3d
        return Read(*flipped(self.seen()), truth, mirrored_joints(self.rotmat))

    def rows(self, which: Tensor) -> "Read":
        """Picks people by index or mask."""
        return Read(*(value[which] for value in self))


def read(index: int) -> Read:
    """A row; of nobody where the landmark network sees nobody."""
    sample, subject = render_sample(SPLIT, index), draw_subject(SPLITS[SPLIT], index)
    image = np.asarray(cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]
    crop = crop_around(sample, np.random.default_rng(index))
    found = in_image(
        read_crops(warp_crops(np.ascontiguousarray(image), crop)), crop, np.zeros(1, int), (SIZE, SIZE)
    )
    camera = torch.from_numpy(sample.intrinsics)[None].double()
    targets = seen_targets(found, sample.bbox_xywh[None].astype(float), Photo(image).camera)
    targets = targets._replace(focal_length=camera[:, 0, 0], principal_point=camera[:, :2, 2])
    pose, betas, transl = (
        torch.from_numpy(value)[None].double() for value in (subject.pose, subject.betas, sample.transl)
    )
    rotmat = rotmat_from_pose(pose)
    points = pose_points(
        body_points(load_body("open"), attachments()), BodyState(rotmat, betas, transl)
    ).points
    truth = points @ view_rotation(targets)
    whole = Read(*sighting(targets), truth.float(), rotmat[:, 1:].float())
    return whole.rows(torch.from_numpy(found.score > 0.5))


def crop_around(sample: Sample, random: np.random.Generator) -> np.ndarray:
    """The crop (1, 2, 3) that the landmark network is used to: around the hips, the spine upright, all in it."""
    joints = sample.keypoints2d[:, :2].astype(float)
    hips, shoulders = joints[[1, 2]].mean(0), joints[[16, 17]].mean(0)
    radius = 1.25 * np.linalg.norm(joints - hips, axis=1).max() * np.exp(0.08 * random.standard_normal())
    center = hips + 0.04 * radius * random.standard_normal(2)
    return upright_crops(center[None], (shoulders - hips)[None], np.array([radius]))


def together(parts: list[Read]) -> Read:
    return Read(*(torch.cat(values) for values in zip(*parts)))


def cached() -> Read:
    return together([Read(**load_file(path)) for path in sorted(CACHE.glob("*.safetensors"))])


class Response(NamedTuple):
    """What the landmark network says of people, by how they are: linear in each landmark, and correlated errors."""

    slopes: Tensor
    """(27, 12, 3) from a landmark's true place and the trunk's axes."""
    deviation: Tensor
    """(27, 3, 5) of a landmark hidden, seen and surely seen: metres, and places in units of their spread."""
    mixing: Tensor
    """(135, 135) root of the errors' correlations."""
    confidence: Tensor
    """(N, 27) as it was read."""

    def said(self, truth: Tensor, confidence: Tensor) -> Tensor:
        """(N, 27, 3) metres without errors, for people (N, 27, 3)."""
        return torch.einsum("njk,jkc->njc", _inputs(truth, confidence), self.slopes)

    def errors(self, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Draws errors of points (N, 27, 3), metres, and of places (N, 27, 2), in units of their spread."""
        drawn = (torch.randn(len(confidence), len(self.mixing)) @ self.mixing.T).unflatten(1, (-1, 5))
        drawn = drawn * self.deviation[torch.arange(len(NAMES)), _kind(confidence)]
        return drawn[..., :3], drawn[..., 3:]


def measured(people: Read) -> Response:
    """Fits a response to people and their mirror images."""
    people = together([people, people.mirrored()])
    confidence = people.confidence
    inputs, said = _inputs(people.truth, confidence), centered(people.points3d, confidence)
    weighted = (inputs * (confidence + 0.02)[..., None]).movedim(0, 1)
    left = weighted.mT @ inputs.movedim(0, 1) + RIDGE * torch.eye(inputs.shape[-1])
    slopes = torch.linalg.solve(left, weighted.mT @ said.movedim(0, 1))
    places = people.truth[..., :2] / people.truth[..., 2:]
    off = centered((people.places - places) / spread(places, confidence), confidence)
    errors = torch.cat([said - torch.einsum("njk,jkc->njc", inputs, slopes), off], 2)
    usable = off.abs().amax((1, 2)) < 1.5
    errors, kind = errors[usable], _kind(confidence[usable])
    deviation = torch.stack([_deviations(errors[:, j], kind[:, j]) for j in range(len(NAMES))])
    unit = (errors / deviation[torch.arange(len(NAMES)), kind]).clamp(-LONGEST, LONGEST).flatten(1)
    correlation = unit.T @ unit / len(unit)
    shrunk = (1 - SHRINKAGE) * correlation + SHRINKAGE * torch.diag(correlation.diagonal())
    return Response(slopes, deviation, torch.linalg.cholesky(shrunk), confidence)


def spread(places: Tensor, confidence: Tensor) -> Tensor:
    """(N, 1, 1) distance of places from their center, in the mean of squares."""
    square = shares(confidence)[..., None] * centered(places, confidence).square()
    return square.sum((1, 2), keepdim=True).sqrt()


def _deviations(errors: Tensor, kind: Tensor) -> Tensor:
    """(3, 5) of errors (N, 5) of each kind (N,), by the medians of their size; of all where few are of a kind."""
    groups = [errors[kind == k] for k in range(3)]
    return 1.4826 * torch.stack(
        [(group if len(group) >= FEWEST else errors).abs().median(0).values for group in groups]
    )


def _kind(confidence: Tensor) -> Tensor:
    return (confidence > SEEN).long() + (confidence > SURE).long()


def _inputs(truth: Tensor, confidence: Tensor) -> Tensor:
    """(N, 27, 12) of each landmark where it lies, and the trunk's axes."""
    left, right = (
        [truth[:, NAMES.index(f"{side}_{part}")] for part in ("shoulder", "hip")]
        for side in ("left", "right")
    )
    across = torch.nn.functional.normalize(left[0] - right[0] + left[1] - right[1], dim=1)
    up = torch.nn.functional.normalize(left[0] + right[0] - left[1] - right[1], dim=1)
    axes = torch.cat([across, up, torch.linalg.cross(across, up)], 1)
    return torch.cat([centered(truth, confidence), axes[:, None].expand(-1, len(NAMES), -1)], 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    arguments = parser.parse_args()
    # In the footage are people that fits are measured on.
    POOLS["train"] = POOLS["train"]._replace(sections=WRITTEN)
    CACHE.mkdir(parents=True, exist_ok=True)
    for start in range(arguments.first, arguments.last, PART):
        path = CACHE / f"{start:06}.safetensors"
        if not path.exists():
            found = together([read(index) for index in range(start, min(start + PART, arguments.last))])
            part = Path(f"{path}.part")
            save_file({name: value.contiguous() for name, value in found._asdict().items()}, part)
            part.replace(path)
            print(path.name, len(found.truth), flush=True)


if __name__ == "__main__":
    main()
