"""People of a clip, regressed by a trained network: crops of all of them go through it in batches."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from hmrcli.body.camera import full_image_translation
from hmrcli.data.crop import crop_people
from hmrcli.errors import UsageError
from hmrcli.fitting.motion import Smooth
from hmrcli.fitting.points import BodyState
from hmrcli.fitting.regressed import smooth_regression
from hmrcli.inference.clip import Progress
from hmrcli.inference.network import BATCH, predict
from hmrcli.inference.photo import squares
from hmrcli.inference.predictor import NetworkPredictor
from hmrcli.inference.video import Clip
from hmrcli.layers import Crops
from hmrcli.motion import Camera, Motion, Track


class _Entry(NamedTuple):
    """One person in one frame."""

    track: int
    """Index of the track."""
    at: int
    """Index into its frames."""


def require_rotations(network: NetworkPredictor) -> None:
    """Raises UsageError for a network that gives meshes without rotations, of which no motion can be made."""
    blank = np.zeros((64, 64, 3), np.uint8)
    crop = crop_people(blank, [[0.0, 0.0, 64.0, 64.0]], network.bbox_scale, network.shape)
    if predict(network.network, network.body, crop)[0].rotmat is None:
        raise UsageError(
            "--recipe: this network gives meshes without joint rotations, of which no motion can be made: "
            "name images, or another recipe"
        )


def regress_tracks(
    network: NetworkPredictor,
    clip: Clip,
    tracks: Sequence[Track],
    camera: Camera,
    fps: float,
    smooth: Smooth,
    progress: Progress,
) -> list[Motion]:
    """Regresses each person in each of their frames, in a further reading of the clip, and smooths the motions.

    Args:
        network: that gives rotations.
        clip: to read.
        tracks: of its people.
        camera: of all frames.
        fps: frames a second that exports are written at.
        smooth: how much of a motion is taken for noise.
        progress: is told how much is done, in frames of all people.
    """
    states = [_unknown(len(track.frames)) for track in tracks]
    present: dict[int, list[_Entry]] = {}
    for number, track in enumerate(tracks):
        for at, frame in enumerate(track.frames.tolist()):
            present.setdefault(frame, []).append(_Entry(number, at))
    total = sum(len(track.frames) for track in tracks)
    done = 0
    entries: list[_Entry] = []
    crops: list[Crops] = []
    for frame in clip.frames():
        here = present.pop(frame.number, [])
        if here:
            boxes = [tracks[one.track].boxes[one.at] for one in here]
            crops.append(crop_people(frame.pixels, boxes, network.bbox_scale, network.shape))
            entries += here
        if entries and (len(entries) >= BATCH or not present):
            _regress(network, Crops(*map(torch.cat, zip(*crops))), entries, tracks, camera, states)
            done += len(entries)
            progress("motion", done, total)
            entries, crops = [], []
        if not present:
            break
    assert not present, "a clip reads alike each time"
    return [
        replace(smooth_regression(network.body, track, camera, state, smooth), fps=fps)
        for track, state in zip(tracks, states)
    ]


def _unknown(count: int) -> BodyState:
    return BodyState(torch.zeros(count, 24, 3, 3), torch.zeros(count, 10), torch.zeros(count, 3))


def _regress(
    network: NetworkPredictor,
    crops: Crops,
    entries: Sequence[_Entry],
    tracks: Sequence[Track],
    camera: Camera,
    states: Sequence[BodyState],
) -> None:
    """Runs the network on crops, and puts the bodies into the states of their tracks."""
    boxes = np.stack([tracks[one.track].boxes[one.at] for one in entries])
    prediction, _ = predict(network.network, network.body, crops)
    assert prediction.rotmat is not None and prediction.betas is not None
    transl = full_image_translation(prediction.cam, *squares(boxes, network.bbox_scale, camera))
    for row, one in enumerate(entries):
        state = states[one.track]
        state.rotmat[one.at], state.betas[one.at] = prediction.rotmat[row], prediction.betas[row]
        state.transl[one.at] = transl[row]
