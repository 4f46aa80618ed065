"""Joint sets: maps by index must agree with the names on both of their sides."""

import pytest

from hmrcli.body import joints


def test_sizes():
    assert len(joints.SMPL_24) == len(joints.PARENTS) == 24
    assert len(joints.LANDMARKS) == 21 and len(joints.EXTRA_NAMES) == 9
    assert len(joints.SMPL_54) == len(set(joints.SMPL_54.names)) == 54
    sizes = {name: len(joint_set) for name, joint_set in joints.JOINT_SETS.items()}
    assert sizes == {
        **{"human_data": 190, "smpl_54": 54, "smpl_49": 49, "common_24": 24},
        **{"coco_17": 17, "evaluation_14": 14, "h36m": 17, "lsp_14": 14, "mpii_16": 16},
        **{"mpi_inf_3dhp_28": 28, "mpi_inf_3dhp_17": 17, "muco_21": 21},
    }


def test_places_are_the_published_ones():
    """SPIN's joint map and MMHuman3D's conventions, number by number."""
    common = (8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, *range(47, 54), 24, 26, 25, 28, 27)
    openpose = (24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, *range(25, 35))
    assert joints.COMMON_24.from_54 == common and joints.SMPL_49.from_54 == openpose + common
    assert joints.EVALUATION_14.from_54 == (*common[:13], 53)
    assert joints.SMPL_54.human_data == (*range(22), 188, 189, *range(55, 76), *range(144, 153))
    in_human_data = (8, 5, 144, 145, 4, 7, 21, 19, 17, 16, 18, 20, *range(146, 153), 55, 57, 56, 59, 58)
    assert joints.SMPL_49.human_data == (*range(153, 178), *in_human_data)
    assert joints.JOINT_SETS["lsp_14"].human_data == (*in_human_data[:12], 146, 147)
    mpii = (8, 5, 144, 145, 4, 7, 148, 149, 146, 147, 21, 19, 17, 16, 18, 20)
    assert joints.JOINT_SETS["mpii_16"].human_data == mpii
    assert joints.H36M.human_data == (148, 145, 4, 7, 144, 5, 8, 150, 146, 152, 147, 16, 18, 20, 17, 19, 21)


def test_ancestors_of_rounds_reach_the_root():
    rounds = joints.ancestors(joints.PARENTS)
    for joint in range(24):
        path, above = [joint], joint
        while (above := joints.PARENTS[above]) >= 0:
            path.append(above)
        for number, each in enumerate(rounds):
            for above, far in zip(each, (2 * 3**number, 3**number), strict=True):
                assert above[joint] == (path[far] if far < len(path) else 24) and above[24] == 24
    assert len(rounds) == 2  # the hands are eight generations below the pelvis


def test_evaluation_joints_agree():
    from_h36m = [joints.H36M.names[i] for i in joints.EVALUATION_14_FROM_H36M]
    same = {"neck_lsp": "neck", "head_h36m": "headtop"}
    assert [same.get(n, n.removesuffix("_extra")) for n in joints.EVALUATION_14.names] == from_h36m


def test_human_data_places_are_shared_where_joints_are():
    """Joints that two conventions share must stand in the same of the 190 places."""
    place_54 = dict(zip(joints.SMPL_54.names, joints.SMPL_54.human_data))
    for name, place in zip(joints.COMMON_24.names, joints.COMMON_24.human_data):
        assert place_54[name] == place, name
    h36m = dict(zip(joints.H36M.names, joints.H36M.human_data))
    for name in ("left_knee", "right_ankle", "left_shoulder", "right_elbow", "left_wrist"):
        assert h36m[name] == place_54[name]
    assert h36m["left_hip"] == place_54["left_hip_extra"] and h36m["headtop"] == place_54["headtop_lsp"]
    places = joints.SMPL_54.human_data
    assert len(set(places)) == 54 and max(places) < joints.HUMAN_DATA_SIZE


@pytest.mark.parametrize(
    ("flip", "published"),
    [
        (
            joints.SMPL_24.flip,
            (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22),
        ),
        (joints.COMMON_24.flip, (*range(5, -1, -1), *range(11, 5, -1), *range(12, 20), 21, 20, 23, 22)),
        (
            joints.OPENPOSE_25.flip,
            (0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21),
        ),
    ],
)
def test_flips_are_the_published_ones(flip, published):
    assert flip == published


def test_flips_of_all_sets():
    for name, joint_set in joints.JOINT_SETS.items():
        if name not in ("human_data", "mpi_inf_3dhp_28", "mpi_inf_3dhp_17", "muco_21"):
            assert [joint_set.flip[i] for i in joint_set.flip] == list(range(len(joint_set)))
            picked = [joints.SMPL_54.flip[i] for i in joint_set.from_54]
            assert picked == [joint_set.from_54[i] for i in joint_set.flip]
