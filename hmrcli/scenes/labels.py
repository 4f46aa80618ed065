"""A row of the open data set as files would have it: the compressed picture, and labels with their faults."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrcli.scenes.faults import annotated_keypoints, draw_misfit, fitted_bodies, measured_keypoints
from hmrcli.scenes.paint import Painting, paint_scene
from hmrcli.scenes.sample import draw_scene, open_body, posed, smpl_54_joints
from hmrcli.scenes.scene import Scene
from hmrcli.scenes.splits import SPLITS, Split
from hmrcli.scenes.subjects import generator
from hmrcli.scenes.views import box_of, inside, pixels

MARGIN = 1.2
"""Of the box around the tight box of the keypoints, as in the published annotations."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture and what is known of its person."""

    jpeg: bytes
    bbox_xywh: NDArray[np.float32]
    """(4,) `MARGIN` times the tight box of the keypoints in the picture, hidden ones too."""
    keypoints2d: NDArray[np.float32]
    """(54, 3) pixels and confidence, SMPL's 54: 0 outside the picture and behind things and other people."""
    keypoints3d: NDArray[np.float32] | None
    """(54, 4) metres from the pelvis, camera axes, and confidence; None where only keypoints are known."""
    pose: NDArray[np.float32]
    """(72,) axis-angle, radians, the root's in the camera's frame; zeros where unknown."""
    betas: NDArray[np.float32]
    """(10,); zeros where unknown."""
    has_smpl: bool
    transl: NDArray[np.float32]
    """(3,) metres; zeros where the body is unknown."""
    intrinsics: NDArray[np.float32]
    """(3, 3) of the camera."""
    parts: NDArray[np.uint8]
    """(S, S) 1 + SMPL joint of the part where the person is seen, 0 elsewhere."""


def render_sample(split_name: str, index: int) -> Sample:
    """Paints a row and labels it.

    Args:
        split_name: of a part of the data set.
        index: of the row, from 0.
    """
    split, scene = SPLITS[split_name], draw_scene(split_name, index)
    painting = paint_scene(scene, open_body())
    exact = exact_labels(scene, painting, jpeg(painting.image, scene.lens.jpeg_quality))
    return exact if split.labels == "exact" else _with_faults(split, index, exact)


def jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """Compresses an RGB picture (H, W, 3)."""
    blue_first = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return content.tobytes()


def exact_labels(scene: Scene, painting: Painting, content: bytes, index: int = 0) -> Sample:
    """Returns all that is known of a person of a scene, one with at least one joint in the picture."""
    person, camera = scene.people[index], scene.camera
    vertices = painting.vertices[index]
    joints = smpl_54_joints(vertices, painting.joints[index]).astype(np.float64) - person.transl
    places = pixels(joints + person.transl, camera)
    kept = inside(places, scene.size)
    tight = box_of(places[kept])
    seen = np.zeros(len(kept), bool)
    seen[kept] = _visible(painting, index)[tuple(places[kept].astype(int).T[::-1])]
    focal, (x, y) = camera
    return Sample(
        jpeg=content,
        bbox_xywh=_float32([*(tight[:2] - (MARGIN - 1) / 2 * tight[2:]), *(MARGIN * tight[2:])]),
        keypoints2d=_float32(np.column_stack([places, seen])),
        keypoints3d=_joints3d(joints),
        pose=person.pose,
        betas=person.betas,
        has_smpl=True,
        transl=person.transl,
        intrinsics=_float32([[focal, 0.0, x], [0.0, focal, y], [0.0, 0.0, 1.0]]),
        parts=np.where(painting.people == index, painting.parts + 1, 0).astype(np.uint8),
    )


def _visible(painting: Painting, index: int) -> NDArray[np.bool_]:
    """(S, S) whether the person is what is seen at a pixel or one beside it: outlines end between pixels."""
    seen = (painting.people == index).astype(np.uint8)
    return np.asarray(cv2.dilate(seen, np.ones((3, 3), np.uint8)), bool)


def _joints3d(joints: NDArray[np.float64]) -> NDArray[np.float32]:
    return _float32(np.column_stack([joints - joints[0], np.ones(len(joints))]))


def _with_faults(split: Split, index: int, exact: Sample) -> Sample:
    random = generator(split, index, "faults")
    if split.labels == "keypoints":
        area = max(1.0, float((exact.parts > 0).sum()))
        return replace(
            exact,
            keypoints2d=annotated_keypoints(exact.keypoints2d, area, random),
            keypoints3d=None,
            pose=np.zeros(72, np.float32),
            betas=np.zeros(10, np.float32),
            has_smpl=False,
            transl=np.zeros(3, np.float32),
        )
    (pose,), (betas,) = fitted_bodies(exact.pose[None], exact.betas[None], [draw_misfit(random)])
    _, (true, wrong) = posed(np.stack([exact.pose, pose]), np.stack([exact.betas, betas]))
    return replace(
        exact,
        keypoints2d=measured_keypoints(exact.keypoints2d, float(exact.bbox_xywh[2:].max()) / MARGIN, random),
        keypoints3d=_joints3d(wrong),
        pose=pose,
        betas=betas,
        transl=_float32(exact.transl + true[0] - wrong[0]),
    )


def _float32(values: ArrayLike) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)
