"""The joint sets that data sets, networks and metrics use: names, order, maps between them and mirror pairs.

Plain data. Left and right are the person's own.
"""

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Parent of each SMPL joint, -1 for the root."""

GENERATIONS = ((1, 4), (4, 7), (7, 10), (10, 15), (15, 18), (18, 20), (20, 22), (22, 24))
"""First and last-plus-one joint of each generation below the root; a joint's parent is in the one before."""

SMPL_24_NAMES = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
"""SMPL's joints."""

LANDMARKS = {
    "nose": 332,
    "right_eye": 6260,
    "left_eye": 2800,
    "right_ear": 4071,
    "left_ear": 583,
    "left_bigtoe": 3216,
    "left_smalltoe": 3226,
    "left_heel": 3387,
    "right_bigtoe": 6617,
    "right_smalltoe": 6624,
    "right_heel": 6787,
    "left_thumb": 2746,
    "left_index": 2319,
    "left_middle": 2445,
    "left_ring": 2556,
    "left_pinky": 2673,
    "right_thumb": 6191,
    "right_index": 5782,
    "right_middle": 5905,
    "right_ring": 6016,
    "right_pinky": 6133,
}
"""Vertices of SMPL's mesh that serve as joints; the open body is numbered so that it shares them."""

EXTRA_NAMES = (
    "right_hip_extra",
    "left_hip_extra",
    "neck_lsp",
    "headtop_lsp",
    "pelvis_mpii",
    "thorax_mpii",
    "spine_h36m",
    "jaw_h36m",
    "head_h36m",
)
"""Joints regressed from the mesh as annotators of 2D data sets place them."""

SMPL_54_NAMES = (*SMPL_24_NAMES, *LANDMARKS, *EXTRA_NAMES)
"""SMPL's joints, landmark vertices and regressed joints."""

SMPL_49_FROM_54 = (
    *(24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34),
    *(8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48, 49, 50, 51, 52, 53, 24, 26, 25, 28, 27),
)
"""SPIN's 49 joints, OpenPose's 25 and then the 24 of the data sets, as indices into the 54."""

COMMON_24_FROM_54 = SMPL_49_FROM_54[25:]
"""The 24 joints of the data sets, as indices into the 54."""

OPENPOSE_25_NAMES = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "pelvis",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
    "left_bigtoe",
    "left_smalltoe",
    "left_heel",
    "right_bigtoe",
    "right_smalltoe",
    "right_heel",
)
"""OpenPose's BODY_25."""

COMMON_24_NAMES = (
    "right_ankle",
    "right_knee",
    "right_hip_extra",
    "left_hip_extra",
    "left_knee",
    "left_ankle",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "neck_lsp",
    "headtop_lsp",
    "pelvis_mpii",
    "thorax_mpii",
    "spine_h36m",
    "jaw_h36m",
    "head_h36m",
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
)
"""The joints that 2D and 3D data sets annotate between them (SPIN's second half)."""

COCO_17_NAMES = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip_extra",
    "right_hip_extra",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""The joints of COCO's annotators, who see hips where the regressed ones are."""

COCO_17_FROM_54 = tuple(SMPL_54_NAMES.index(name) for name in COCO_17_NAMES)
"""COCO's joints, as indices into the 54."""

H36M_NAMES = (
    "pelvis",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_hip",
    "right_knee",
    "right_ankle",
    "spine",
    "neck",
    "head",
    "headtop",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
)
"""Rows of `J_regressor_h36m`."""

EVALUATION_14_FROM_H36M = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
"""The 14 joints that 3DPW and LSP score, as rows of `J_regressor_h36m`."""

EVALUATION_14_FROM_COMMON_24 = (*range(13), 18)
"""The same joints in the data sets' 24."""

GRAPH_24_FROM_38 = (8, 5, 29, 30, 4, 7, 21, 19, 17, 16, 18, 20, *range(31, 38), 24, 26, 25, 28, 27)
"""The data sets' 24 as GraphCMR and Graphormer number them: 24 SMPL joints, then nose, eyes, ears, extras."""

HUMAN_DATA_SIZE = 190
"""Joints of the HumanData annotation format."""

HUMAN_DATA_FROM_SMPL_54 = (*range(22), 188, 189, *range(55, 76), *range(144, 153))
"""Where each of the 54 stands among HumanData's 190."""

HUMAN_DATA_FROM_SMPL_49 = (
    *range(153, 178),
    *(8, 5, 144, 145, 4, 7, 21, 19, 17, 16, 18, 20, *range(146, 153), 55, 57, 56, 59, 58),
)
"""Where each of the 49 stands among HumanData's 190."""

HUMAN_DATA_FROM_H36M = (148, 145, 4, 7, 144, 5, 8, 150, 146, 152, 147, 16, 18, 20, 17, 19, 21)
"""Where each Human3.6M joint stands among HumanData's 190."""

HUMAN_DATA_FROM_MPI_INF_3DHP_28 = (
    *(9, 178, 6, 150, 148, 146, 152, 147, 179, 16, 18, 20, 181, 180),
    *(17, 19, 21, 182, 145, 4, 7, 10, 183, 144, 5, 8, 11, 184),
)
HUMAN_DATA_FROM_MPI_INF_3DHP_17 = (147, 146, 17, 19, 21, 16, 18, 20, 144, 5, 8, 145, 4, 7, 148, 150, 152)
HUMAN_DATA_FROM_MUCO_21 = (*HUMAN_DATA_FROM_MPI_INF_3DHP_17, 182, 181, 184, 183)
"""Where each joint of further sets stands among HumanData's 190, in the order of their files."""


def flip_pairs(names: tuple[str, ...]) -> tuple[int, ...]:
    """For each joint the one that takes its place in a mirror, by exchanging left and right in its name."""

    def other(name: str) -> str:
        if name.startswith("left_"):
            return "right_" + name.removeprefix("left_")
        return "left_" + name.removeprefix("right_") if name.startswith("right_") else name

    return tuple(names.index(other(name)) for name in names)


SMPL_24_FLIP = flip_pairs(SMPL_24_NAMES)
SMPL_54_FLIP = flip_pairs(SMPL_54_NAMES)
OPENPOSE_25_FLIP = flip_pairs(OPENPOSE_25_NAMES)
COMMON_24_FLIP = flip_pairs(COMMON_24_NAMES)
COCO_17_FLIP = flip_pairs(COCO_17_NAMES)
SMPL_49_FLIP = (*OPENPOSE_25_FLIP, *(25 + i for i in COMMON_24_FLIP))
H36M_FLIP = flip_pairs(H36M_NAMES)
"""Mirror permutations. Axis-angle also negates y and z, 3D points negate x, 2D x becomes width - 1 - x."""
