"""Joint sets that data sets, networks and metrics use: names, places in other sets and mirror pairs.

Plain data. Left and right are the person's own.
"""

from dataclasses import dataclass

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Parent of each SMPL joint, -1 for the root."""

LANDMARKS = {
    **{"nose": 332, "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583},
    **{"left_bigtoe": 3216, "left_smalltoe": 3226, "left_heel": 3387},
    **{"right_bigtoe": 6617, "right_smalltoe": 6624, "right_heel": 6787},
    **{"left_thumb": 2746, "left_index": 2319, "left_middle": 2445, "left_ring": 2556, "left_pinky": 2673},
    **{"right_thumb": 6191, "right_index": 5782, "right_middle": 5905, "right_ring": 6016},
    "right_pinky": 6133,
}
"""Vertices of SMPL's mesh that serve as joints; the open body is numbered so that it shares them."""

EXTRA_NAMES = (
    *("right_hip_extra", "left_hip_extra", "neck_lsp", "headtop_lsp", "pelvis_mpii"),
    *("thorax_mpii", "spine_h36m", "jaw_h36m", "head_h36m"),
)
"""Joints regressed from the mesh as annotators of 2D data sets place them."""

HUMAN_DATA_SIZE = 190
"""Joints of the HumanData annotation format."""


@dataclass(frozen=True)
class JointSet:
    """A set of J joints; `human_data` itself has neither names nor mirror pairs."""

    names: tuple[str, ...]
    from_54: tuple[int, ...]
    """Each joint's place among SMPL's 54."""
    human_data: tuple[int, ...]
    """Each joint's place among HumanData's 190."""
    flip: tuple[int, ...]
    """For each joint the one that takes its place in a mirror. Axis-angle also negates y and z, 3D points negate x,
    2D x becomes width - 1 - x."""

    def __len__(self) -> int:
        return len(self.human_data)


_SMPL_24_NAMES = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle"),
    *("right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hand", "right_hand"),
)
_54_NAMES = (*_SMPL_24_NAMES, *LANDMARKS, *EXTRA_NAMES)
_54_IN_HUMAN_DATA = (*range(22), 188, 189, *range(55, 76), *range(144, 153))


def _mirrored(name: str) -> str:
    side, _, joint = name.partition("_")
    return f"{({'left': 'right', 'right': 'left'}).get(side, side)}_{joint}" if joint else name


def _joint_set(
    *names: str, known_as: dict[str, str] | None = None, human_data: tuple[int, ...] | None = None
) -> JointSet:
    """Makes a set of joints among SMPL's 54, where they may have other names, or places in HumanData."""
    from_54 = tuple(_54_NAMES.index((known_as or {}).get(name, name)) for name in names)
    places = human_data or tuple(_54_IN_HUMAN_DATA[joint] for joint in from_54)
    return JointSet(names, from_54, places, tuple(names.index(_mirrored(name)) for name in names))


def _joined(first: JointSet, second: JointSet) -> JointSet:
    return JointSet(
        first.names + second.names,
        first.from_54 + second.from_54,
        first.human_data + second.human_data,
        (*first.flip, *(len(first) + joint for joint in second.flip)),
    )


SMPL_24 = _joint_set(*_SMPL_24_NAMES)
"""SMPL's joints."""

SMPL_54 = _joint_set(*_54_NAMES)
"""SMPL's joints, landmark vertices and regressed joints."""

OPENPOSE_25 = _joint_set(
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist", "pelvis", "right_hip", "right_knee", "right_ankle"),
    *("left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear", "left_bigtoe", "left_smalltoe", "left_heel"),
    *("right_bigtoe", "right_smalltoe", "right_heel"),
    human_data=tuple(range(153, 178)),
)
"""OpenPose's BODY_25."""

COMMON_24 = _joint_set(
    *("right_ankle", "right_knee", "right_hip_extra", "left_hip_extra", "left_knee", "left_ankle"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    *("neck_lsp", "headtop_lsp", "pelvis_mpii", "thorax_mpii", "spine_h36m", "jaw_h36m", "head_h36m"),
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
)
"""The joints that 2D and 3D data sets annotate between them."""

SMPL_49 = _joined(OPENPOSE_25, COMMON_24)
"""SPIN's joints."""

COCO_17 = _joint_set(
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip_extra", "right_hip_extra"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""The joints of COCO's annotators, who see hips where the regressed ones are."""

COCO_DEVIATIONS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""Of COCO's annotators from one another at each of its 17 joints, as a share of the root of the person's area
(cocodataset.org, keypoint evaluation: measured on 5000 images)."""

H36M = _joint_set(
    *("pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "spine"),
    *("neck", "head", "headtop", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_shoulder", "right_elbow", "right_wrist"),
    known_as={
        **{"pelvis": "pelvis_mpii", "left_hip": "left_hip_extra", "right_hip": "right_hip_extra"},
        **{"spine": "spine_h36m", "neck": "neck_lsp", "head": "head_h36m", "headtop": "headtop_lsp"},
    },
)
"""Rows of `J_regressor_h36m`."""

EVALUATION_14 = _joint_set(*COMMON_24.names[:13], "head_h36m")
"""The joints that 3DPW and LSP score."""

EVALUATION_14_FROM_H36M = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
"""The same joints as rows of `J_regressor_h36m`, whose headtop lies where others have the head."""

_MPI_INF_3DHP_28 = (
    *(9, 178, 6, 150, 148, 146, 152, 147, 179, 16, 18, 20, 181, 180),
    *(17, 19, 21, 182, 145, 4, 7, 10, 183, 144, 5, 8, 11, 184),
)
_MPI_INF_3DHP_17 = (147, 146, 17, 19, 21, 16, 18, 20, 144, 5, 8, 145, 4, 7, 148, 150, 152)


def _of_files(*human_data: int) -> JointSet:
    """Makes a set that files come in and no recipe learns; some of its joints are none of the 54."""
    return JointSet((), (), human_data, ())


JOINT_SETS = {
    "human_data": _of_files(*range(HUMAN_DATA_SIZE)),
    "smpl_54": SMPL_54,
    "smpl_49": SMPL_49,
    "common_24": COMMON_24,
    "coco_17": COCO_17,
    "evaluation_14": EVALUATION_14,
    "h36m": H36M,
    "lsp_14": _joint_set(*COMMON_24.names[:14]),
    "mpii_16": _joint_set(*(COMMON_24.names[i] for i in (*range(6), 14, 15, 12, 13, *range(6, 12)))),
    "mpi_inf_3dhp_28": _of_files(*_MPI_INF_3DHP_28),
    "mpi_inf_3dhp_17": _of_files(*_MPI_INF_3DHP_17),
    "muco_21": _of_files(*_MPI_INF_3DHP_17, 182, 181, 184, 183),
}
"""The sets that keypoints come in, by the names that recipes and files give them."""


def joint_set(name: str) -> JointSet:
    """Returns a set by its name.

    Raises:
        ValueError: there is no such set.
    """
    if name not in JOINT_SETS:
        raise ValueError(f"no joint set is called {name!r}; there are {', '.join(JOINT_SETS)}")
    return JOINT_SETS[name]


def ancestors(parents: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Tells the ancestors of each joint 2 and 1 generations up, 6 and 3, 18 and 9, ..., until no joint has one.

    Returns:
        two lists for each round, with a last entry that stands above the root and is its own ancestor.
    """
    count = len(parents)
    above = [count if parent < 0 else parent for parent in parents] + [count]
    rounds = []
    while any(joint != count for joint in above):
        twice = [above[joint] for joint in above]
        rounds.append((twice, above))
        above = [above[joint] for joint in twice]
    return rounds
