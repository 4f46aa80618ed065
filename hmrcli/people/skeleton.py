"""The two landmark sets, as data: MoveNet's 17 COCO keypoints and BlazePose's 33 body landmarks."""

_PAIRED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")

KEYPOINTS = (
    "nose",
    *("left_eye", "right_eye", "left_ear", "right_ear"),
    *(f"{side}_{part}" for part in _PAIRED for side in ("left", "right")),
)
"""17 COCO keypoints; left and right are the person's own."""

LANDMARKS = (
    "nose",
    *("left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
    *("left_ear", "right_ear", "mouth_left", "mouth_right"),
    *(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist") for side in ("left", "right")),
    *(f"{side}_{part}" for part in ("pinky", "index", "thumb") for side in ("left", "right")),
    *(f"{side}_{part}" for part in ("hip", "knee", "ankle") for side in ("left", "right")),
    *(f"{side}_{part}" for part in ("heel", "foot_index") for side in ("left", "right")),
)
"""33 BlazePose landmarks; left and right are the person's own."""

LANDMARK_INDEX = {name: index for index, name in enumerate(LANDMARKS)}

_SIDE_EDGES = (
    *("shoulder-elbow", "elbow-wrist", "wrist-pinky", "wrist-index", "wrist-thumb", "pinky-index"),
    *("shoulder-hip", "hip-knee", "knee-ankle", "ankle-heel", "ankle-foot_index", "heel-foot_index"),
    *("eye_inner-eye", "eye-eye_outer", "eye_outer-ear"),
)
LANDMARK_EDGES = (
    *((LANDMARK_INDEX[f"left_{part}"], LANDMARK_INDEX[f"right_{part}"]) for part in ("shoulder", "hip")),
    (LANDMARK_INDEX["mouth_left"], LANDMARK_INDEX["mouth_right"]),
    *(
        tuple(LANDMARK_INDEX[f"{side}_{end}"] for end in edge.split("-"))
        for side in ("left", "right")
        for edge in _SIDE_EDGES
    ),
)
"""Pairs of landmark indices to draw as lines."""

LANDMARK_KEYPOINTS = tuple(LANDMARK_INDEX[name] for name in KEYPOINTS)
"""The landmark at the place of each of the 17 keypoints."""

LANDMARK_MIRROR = tuple(
    LANDMARK_INDEX[name.replace("left", "*").replace("right", "left").replace("*", "right")]
    for name in LANDMARKS
)
"""Source of each landmark in a mirrored image."""
