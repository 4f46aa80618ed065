"""Joint sets: maps by index must agree with the names on both of their sides."""

import pytest

from hmrcli.body import joints

GENERATION_OF_ROOT = (0, 1)


def test_sizes():
    assert len(joints.SMPL_24_NAMES) == len(joints.PARENTS) == 24
    assert len(joints.LANDMARKS) == 21 and len(joints.EXTRA_NAMES) == 9
    assert len(joints.SMPL_54_NAMES) == len(set(joints.SMPL_54_NAMES)) == 54
    assert len(joints.SMPL_49_FROM_54) == 49 and len(joints.COMMON_24_FROM_54) == 24
    assert len(joints.H36M_NAMES) == len(joints.HUMAN_DATA_FROM_H36M) == 17
    assert len(joints.HUMAN_DATA_FROM_SMPL_54) == 54 and len(joints.HUMAN_DATA_FROM_SMPL_49) == 49


def test_generations_follow_the_tree():
    above = GENERATION_OF_ROOT
    for first, end in joints.GENERATIONS:
        assert first == above[1]
        assert all(above[0] <= joints.PARENTS[j] < above[1] for j in range(first, end))
        above = (first, end)
    assert above[1] == 24


def test_common_24_picks_joints_of_the_same_name():
    assert tuple(joints.SMPL_54_NAMES[i] for i in joints.COMMON_24_FROM_54) == joints.COMMON_24_NAMES


def test_openpose_picks_joints_of_the_same_name():
    picked = tuple(joints.SMPL_54_NAMES[i] for i in joints.SMPL_49_FROM_54[:25])
    assert picked == joints.OPENPOSE_25_NAMES


def test_graph_24_is_the_common_24():
    extras = joints.EXTRA_NAMES
    names = (*joints.SMPL_24_NAMES, "nose", "right_eye", "left_eye", "right_ear", "left_ear", *extras)
    assert len(names) == 38
    assert tuple(names[i] for i in joints.GRAPH_24_FROM_38) == joints.COMMON_24_NAMES


def test_evaluation_joints_agree():
    from_h36m = [joints.H36M_NAMES[i] for i in joints.EVALUATION_14_FROM_H36M]
    from_common = [joints.COMMON_24_NAMES[i] for i in joints.EVALUATION_14_FROM_COMMON_24]
    same = {"neck_lsp": "neck", "head_h36m": "headtop"}
    assert [same.get(n, n.removesuffix("_extra")) for n in from_common] == from_h36m


def test_human_data_places_are_shared_where_joints_are():
    """Joints that two conventions share must stand in the same of the 190 places."""
    place_54 = dict(zip(joints.SMPL_54_NAMES, joints.HUMAN_DATA_FROM_SMPL_54))
    for name, place in zip(joints.COMMON_24_NAMES, joints.HUMAN_DATA_FROM_SMPL_49[25:]):
        assert place_54[name] == place, name
    h36m = dict(zip(joints.H36M_NAMES, joints.HUMAN_DATA_FROM_H36M))
    for name in ("left_knee", "right_ankle", "left_shoulder", "right_elbow", "left_wrist"):
        assert h36m[name] == place_54[name]
    assert h36m["left_hip"] == place_54["left_hip_extra"] and h36m["headtop"] == place_54["headtop_lsp"]
    places = joints.HUMAN_DATA_FROM_SMPL_54
    assert len(set(places)) == 54 and max(places) < joints.HUMAN_DATA_SIZE


@pytest.mark.parametrize(
    ("flip", "published"),
    [
        (
            joints.SMPL_24_FLIP,
            (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22),
        ),
        (joints.COMMON_24_FLIP, (*range(5, -1, -1), *range(11, 5, -1), *range(12, 20), 21, 20, 23, 22)),
        (
            joints.OPENPOSE_25_FLIP,
            (0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21),
        ),
    ],
)
def test_flips_are_the_published_ones(flip, published):
    assert flip == published


def test_flips_of_joined_sets():
    for flip in (joints.SMPL_54_FLIP, joints.SMPL_49_FLIP, joints.H36M_FLIP):
        assert [flip[i] for i in flip] == list(range(len(flip)))
    # Flipping before and after picking the 49 out of the 54 must be the same.
    picked = [joints.SMPL_54_FLIP[i] for i in joints.SMPL_49_FROM_54]
    assert picked == [joints.SMPL_49_FROM_54[i] for i in joints.SMPL_49_FLIP]
