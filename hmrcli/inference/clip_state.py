"""State of a clip that was begun: who was seen so far, in a file beside the results, from which the command goes on."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmrcli.files import whole_file
from hmrcli.people.follower import Follower
from hmrcli.people.landmarks import Landmarks
from hmrcli.people.sightings import Sighting, joined
from hmrcli.people.tracking import Tracker

_FORMAT = 1
"""Raised when files of before can no longer be gone on from."""


class Seen(NamedTuple):
    """What was seen of a clip up to some frame."""

    tracker: Tracker
    times: list[float]
    """Seconds of each frame that was read."""
    numbers: list[int]
    """Of these frames."""


def write_state(path: Path, seen: Seen, settings: dict[str, Any]) -> None:
    """Writes what was seen (.npz), whole or not at all, with the settings that it depends on."""
    tracker = seen.tracker
    arrays: dict[str, Any] = {"times": np.array(seen.times), "numbers": np.array(seen.numbers, np.int64)}
    if tracker.thumbnail is not None:
        arrays["thumbnail"] = tracker.thumbnail
    people = []
    for i, one in enumerate(tracker.everyone):
        arrays |= {
            f"{i}_frames": np.array([s.frame for s in one.sightings], np.int64),
            f"{i}_times": np.array([s.time for s in one.sightings]),
            f"{i}_boxes": np.stack([s.box for s in one.sightings]),
        }
        parts = {"points": one.points, "seen": one.visibility, "colours": one.colours, "depth": one.depth}
        landmarks = joined([s.landmarks for s in one.sightings])
        parts |= {f"landmarks_{name}": value for name, value in vars(landmarks).items()}
        arrays |= {f"{i}_{name}": value for name, value in parts.items() if value is not None}
        people.append({"lost": one.lost, "doubts": one.doubts, "sure": one.sure})
    about = {
        "format": _FORMAT,
        "settings": settings,
        "looked": _finite(tracker.looked),
        "looked_well": _finite(tracker.looked_well),
        "turns": tracker.turns,
        "people": people,
    }
    with whole_file(path) as temporary:
        np.savez(temporary, about=np.array(json.dumps(about)), **arrays)


def read_state(
    path: Path, settings: dict[str, Any], max_people: int | None, boxes: np.ndarray | None = None
) -> Seen | None:
    """Reads what was seen; None where there is no such file, or it is of other settings or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            if about["format"] != _FORMAT or about["settings"] != json.loads(json.dumps(settings)):
                return None
            everyone = [_follower(stored, i, person) for i, person in enumerate(about["people"])]
            tracker = Tracker(
                max_people,
                everyone,
                boxes,
                looked=_time(about["looked"]),
                looked_well=_time(about["looked_well"]),
                turns=about["turns"],
                thumbnail=stored.get("thumbnail"),
            )
            return Seen(tracker, stored["times"].tolist(), stored["numbers"].tolist())
    except Exception:  # damaged files fail with many kinds; then the clip is begun anew
        return None


def _follower(stored: Any, i: int, person: dict[str, Any]) -> Follower:
    names = Landmarks.__dataclass_fields__
    landmarks = Landmarks(**{name: stored[f"{i}_landmarks_{name}"] for name in names})
    rows = zip(stored[f"{i}_frames"].tolist(), stored[f"{i}_times"].tolist(), stored[f"{i}_boxes"])
    sightings = [Sighting(frame, time, box, landmarks[[k]]) for k, (frame, time, box) in enumerate(rows)]
    return Follower(
        sightings,
        stored[f"{i}_points"],
        stored[f"{i}_seen"],
        stored.get(f"{i}_colours"),
        bool(person["lost"]),
        int(person["doubts"]),
        int(person["sure"]),
        stored.get(f"{i}_depth"),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _time(value: float | None) -> float:
    return -np.inf if value is None else value
