"""Follows people through the frames of a clip.

A person's next crop follows from their last landmarks (Bazarevsky et al., BlazePose, 2020), so that a frame costs one
look of the landmark network a person. The detector looks at the first frame, every half second, and where someone is
lost; who it finds is told from those who were lost by place, size and colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from hmrcli.errors import UsageError
from hmrcli.people.association import SAME, Whereabouts, colours, coverage, matched, middle_of, same_place
from hmrcli.people.blazepose import other_depth, read_crops, read_once
from hmrcli.people.crops import mask_in_crop, next_crops, to_image, warp_crops
from hmrcli.people.detect import DOUBTFUL, detect_people, people_in_box
from hmrcli.people.follower import Follower
from hmrcli.people.landmarks import Landmarks, body_landmarks, in_image
from hmrcli.people.movenet import Detection, look
from hmrcli.people.sightings import Sighting, boxes_around, compact, joined
from hmrcli.people.similarity import keypoint_similarity, overlap

LOST = 0.5
"""Landmark score below which nobody is in a crop."""
JUMP = 0.35
"""Mean way of keypoints between two frames, in sizes of the person, that is somebody else's."""
LOOK_EVERY, LOOK_SOON, LOOK_WELL = 0.5, 0.2, 6.0
"""Seconds between looks of the detector: usually, where someone is lost, and all of its looks."""
DEPTH_EVERY = 2
"""Frames after which the second network is asked again about somebody's depth: the difference changes slowly."""
REMEMBERED = 3.0
"""Seconds for which someone who is lost is remembered."""
DOUBTED = 2
"""Looks of the detector in which someone has to be missing to be no person."""
APART = 0.15
"""Overlap of two boxes below which what is seen in each is one person's."""
BRIEF = 0.25
"""Seconds, at least, that a person is seen in a clip that is longer."""
CUT, CUT_ALIKE = 30.0, 0.5
"""Mean difference of two frames, of 255, and their correlation, between which the camera is another: a flash changes
all of a frame, too, but not what is light and dark in it."""
_GUIDES = np.array([[[127.5, 127.5], [127.5, 127.5 - 128 / 1.25]]])
"""(1, 2, 2) the points from which `next_crops` would make the same crop again, in crop pixels."""


@dataclass
class Tracker:
    """People of a clip, of which frames are shown in order.

    Attributes:
        max_people: no more people than these are followed at once; None for everyone.
        everyone: who is or was followed, in the order in which they were first seen.
        looked, looked_well: seconds at which the detector last looked, and with all of its looks.
        boxes: (N, 4) x, y, width, height in pixels of people in the first frame, who alone are followed; None for all.
        turns: quarter turns by which most people stand in the clip.
        thumbnail: small grey picture of the last frame.
    """

    max_people: int | None = None
    everyone: list[Follower] = field(default_factory=list)
    boxes: np.ndarray | None = None
    looked: float = -np.inf
    looked_well: float = -np.inf
    turns: int = 0
    thumbnail: np.ndarray | None = None

    def see(self, image: np.ndarray, frame: int, time: float) -> list[Follower]:
        """Looks at the next frame, (H, W, 3) uint8 RGB; returns who is seen in it."""
        thumbnail = cv2.resize(image, (32, 18), interpolation=cv2.INTER_AREA).mean(2)
        cut = self.thumbnail is not None and _is_cut(self.thumbnail, thumbnail)
        self.thumbnail = thumbnail
        if cut:
            for one in self.everyone:
                one.lost, one.colours = True, None
            self.looked = self.looked_well = -np.inf
        before = self._here()
        self._follow(before, image, frame, time)
        if self.boxes is not None and not self.everyone:
            self._begin(image, frame, time, self.boxes)
        remembered = REMEMBERED if self.boxes is None else np.inf
        recent = [] if cut else [o for o in self.everyone if o.lost and time - o.last.time <= remembered]
        newly = any(one.lost for one in before)
        every = LOOK_SOON if recent or not self._here() else LOOK_EVERY
        if newly or time - self.looked >= every:
            self._look(image, frame, time, recent)
        return [one for one in self._here() if one.last.frame == frame]

    def found(self) -> list[list[Sighting]]:
        """Returns the sightings of each person: of those not seen for a moment only, and sure to be people."""
        first = min((one.sightings[0].time for one in self.everyone), default=0.0)
        length = max((one.last.time for one in self.everyone), default=0.0) - first
        kept = [one.sightings for one in self.everyone if _lasting(one.sightings, length)]
        if self.max_people is not None:
            best = sorted(kept, key=lambda seen: -sum(one.box[2:].max() for one in seen))[: self.max_people]
            kept = [seen for seen in kept if any(seen is other for other in best)]
        return sorted(kept, key=lambda seen: seen[0].frame)

    def _here(self) -> list[Follower]:
        return [one for one in self.everyone if not one.lost]

    def _begin(self, image: np.ndarray, frame: int, time: float, boxes: np.ndarray) -> None:
        """Takes up the people in boxes (N, 4); raises UsageError where nobody is recognised in one."""
        found = body_landmarks(image, boxes)
        for box in boxes[found.score < LOST]:
            text = ",".join(f"{v:g}" for v in box)
            raise UsageError(f"nobody was recognised in box {text} of the first frame")
        places = boxes_around(found, image.shape[:2])
        alone = coverage(places) < APART
        views = warp_crops(image, found.crop_to_image)
        for i in range(len(boxes)):
            look = colours(views[i], found.masks[i]) if alone[i] else None
            sighting = Sighting(frame, time, places[i], compact(found[[i]]))
            self.everyone.append(Follower([sighting], _guided(found, i), found.visibility[i], look))
        self.looked = time

    def _follow(self, people: Sequence[Follower], image: np.ndarray, frame: int, time: float) -> None:
        """Reads where people should be by now; who is not seen there is lost."""
        if not people:
            return
        ways = [one.velocity() * np.clip(time - one.last.time, 0, 0.2) for one in people]
        points = np.stack([one.points + way for one, way in zip(people, ways)])
        crops = next_crops(points, np.stack([one.visibility for one in people]))
        views = warp_crops(image, crops)
        reading = read_once(views)
        for i, one in enumerate(people):
            if one.depth is None or (frame + i) % DEPTH_EVERY == 0:
                one.depth = (other_depth(views[[i]])[0] - reading.world[i, :, 2]) / 2
            reading.world[i, :, 2] += one.depth
        found = in_image(reading, crops, np.arange(len(people)), image.shape[:2])
        way = _way(points, to_image(reading.points, crops), people)
        for nearer, farther in _confused(found, way):
            views[farther][mask_in_crop(found.masks[nearer], crops[nearer], crops[farther]) > 0.5] = 0
            again = read_crops(views[[farther]])
            for values, others in zip(reading, again):
                values[farther] = others[0]
            other = in_image(again, crops[[farther]], np.array([farther]), image.shape[:2])
            for name, values in vars(found).items():
                values[farther] = getattr(other, name)[0]
            now = to_image(again.points, crops[[farther]])
            way[farther] = _way(points[[farther]], now, [people[farther]])[0]
            if same_place(found, nearer, farther):
                found.score[farther] = 0
        here = (found.score >= LOST) & (way < JUMP) & (found.visibility.max(1) > 0.3)
        boxes = boxes_around(found, image.shape[:2])
        alone = coverage(boxes * here[:, None]) < APART
        seen = to_image(reading.points, crops)
        for i, one in enumerate(people):
            one.lost = not here[i]
            if here[i]:
                one.sightings.append(Sighting(frame, time, boxes[i], compact(found[[i]])))
                one.points, one.visibility = seen[i], reading.visibility[i]
                if alone[i]:
                    one.colours = _mixed(one.colours, colours(views[i], found.masks[i]))

    def _look(self, image: np.ndarray, frame: int, time: float, lost: Sequence[Follower]) -> None:
        """Lets the detector look: doubts who it does not see, and takes up who it finds."""
        well = time - self.looked_well >= LOOK_WELL
        self.looked = time
        here = self._here()
        if well:
            self.looked_well = time
            detections = detect_people(image)
            self.turns = detections[0].turns if detections else self.turns
        else:
            smallest = min((one.last.box[2:].max() for one in [*here, *lost]), default=np.inf)
            side = 512 if smallest >= 0.2 * max(image.shape[:2]) else 1024
            detections = look(image, side, DOUBTFUL, self.turns)
        same = [[_is(person, one) for one in here] for person in detections]
        for i, one in enumerate(here):
            if any(row[i] for row in same) or _found_again(image, one):
                one.doubts, one.sure = 0, len(one.sightings)
                continue
            one.doubts += 1
            if one.doubts >= DOUBTED:  # the landmark network goes on to see someone who has left
                del one.sightings[one.sure :]
                one.lost, one.doubts = True, 0
        unknown = [person for person, row in zip(detections, same) if not any(row)]
        self._take_up(image, frame, time, unknown, lost)

    def _take_up(
        self, image: np.ndarray, frame: int, time: float, unknown: list[Detection], lost: Sequence[Follower]
    ) -> None:
        """Follows people whom the detector found: those who were lost, and new ones."""
        here = self._here()
        room = len(unknown) if self.max_people is None else max(0, self.max_people - len(here))
        if not room or not unknown:
            return
        found = body_landmarks(image, unknown)
        known = [one.last.landmarks.keypoints()[0] for one in here]
        marks, boxes = found.keypoints(), boxes_around(found, image.shape[:2])
        new = [
            i
            for i in range(len(found))
            if not any(
                keypoint_similarity(marks[i], other, boxes[i, 2:].prod()) > SAME
                or overlap(boxes[i], one.last.box) > 0.8
                or same_place(joined([compact(found[[i]]), one.last.landmarks]), 0, 1, either_way=True)
                for other, one in zip(known, here)
            )
        ][:room]
        views = warp_crops(image, found.crop_to_image[new])
        alone = coverage(np.concatenate([boxes[new], *[one.last.box[None] for one in here]])) < APART
        looks = [colours(view, found.masks[i]) for view, i in zip(views, new)]
        places = [
            Whereabouts(time, middle_of(found[[i]])[0], np.zeros(2), float(boxes[i, 2:].max()), look)
            for i, look in zip(new, looks)
        ]
        again = matched([one.whereabouts() for one in lost], places)
        for k, i in enumerate(new):
            sighting = Sighting(frame, time, boxes[i], compact(found[[i]]))
            points = _guided(found, i)
            look_alone = looks[k] if alone[k] else None
            if k in again:
                one = lost[again[k]]
                one.sightings.append(sighting)
                one.colours = one.colours if look_alone is None else _mixed(one.colours, look_alone)
            elif self.boxes is not None:
                continue
            else:
                one = Follower([sighting], points, found.visibility[i], look_alone)
                self.everyone.append(one)
            one.points, one.visibility, one.depth = points, found.visibility[i], None
            one.lost, one.doubts = False, 0
            one.sure = len(one.sightings)


def _guided(found: Landmarks, person: int) -> np.ndarray:
    """Returns a person's points (35, 2) in pixels, with those that tell where the crop is."""
    return np.concatenate([found.points2d[person], to_image(_GUIDES, found.crop_to_image[[person]])[0]])


def _lasting(seen: Sequence[Sighting], length: float) -> bool:
    return seen[-1].time - seen[0].time >= min(BRIEF, length / 2) or length <= BRIEF


def _is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Tells whether two small grey frames are of different cameras."""
    if np.abs(after - before).mean() < CUT:
        return False
    spread = before.std() * after.std()
    together = ((before - before.mean()) * (after - after.mean())).mean()
    return bool(together < CUT_ALIKE * spread or spread < 1)


def _mixed(usual: np.ndarray | None, now: np.ndarray) -> np.ndarray:
    """Takes a tenth of the colours seen now into the usual ones."""
    mixed = now if usual is None else 0.9 * usual + 0.1 * now
    return np.asarray(mixed / max(float(np.linalg.norm(mixed)), 1e-6), np.float32)


def _way(before: np.ndarray, after: np.ndarray, people: Sequence[Follower]) -> np.ndarray:
    """Returns the mean way (N,) of points (N, P, 2) to where they are now, in sizes of the people."""
    size = [one.last.box[2:].max() for one in people]
    return np.asarray(np.linalg.norm(after - before, axis=2)[:, :33].mean(1) / np.maximum(size, 1))


def _confused(found: Landmarks, way: np.ndarray) -> list[tuple[int, int]]:
    """Finds pairs of crops in which one person is seen: whose it is, by the shorter way (N,), and the other."""
    seen = np.flatnonzero(found.score >= LOST).tolist()
    pairs = [(i, k) for i in seen for k in seen if k < i and same_place(found, i, k)]
    return [(i, k) if way[i] <= way[k] else (k, i) for i, k in pairs]


def _is(person: Detection, one: Follower) -> bool:
    """Tells whether a detection shows someone who is seen in the frame."""
    marks, box = one.last.landmarks.keypoints()[0], one.last.box
    area = max(person.bbox_xywh[2:].prod(), box[2:].prod())
    alike = keypoint_similarity(person.keypoints, marks, area)
    return alike > 0.5 or (alike > 0.2 and overlap(person.bbox_xywh, box) > 0.5)


def _found_again(image: np.ndarray, one: Follower) -> bool:
    """Looks for someone in their box, whichever way up they are."""
    marks, box = one.last.landmarks.keypoints()[0], one.last.box
    people = people_in_box(image, box)
    return any(keypoint_similarity(person.keypoints, marks, box[2:].prod()) > 0.3 for person in people)
