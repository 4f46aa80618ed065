import numpy as np
import pytest

from hmrcli.body.joints import JOINT_SETS
from tests.data.people import assert_same, people


def test_rows_are_chosen_by_slices_indices_and_masks():
    everyone = people(7)
    assert len(everyone) == 7 and len(everyone[2:5]) == 3
    mask = np.isin(np.arange(7), [1, 4, 6])
    assert_same(everyone[[1, 4, 6]], everyone[mask])
    assert everyone[[4, 1]].image_path.tolist() == ["walk/é00004.jpg", "walk/é00001.jpg"]
    np.testing.assert_array_equal(everyone[-1:].keypoints3d, everyone.keypoints3d[6:])
    assert everyone[2:3].intrinsics is None and len(everyone[3]) == 1


@pytest.mark.parametrize("joints", JOINT_SETS)
def test_selected_joints_are_those_of_the_set(joints):
    everyone = people(3)
    everyone.keypoints2d[..., 0] = np.arange(190)
    chosen = everyone.select(joints)
    assert chosen.keypoints2d[0, :, 0].tolist() == list(JOINT_SETS[joints].human_data)
    np.testing.assert_array_equal(chosen.keypoints3d, everyone.keypoints3d[:, JOINT_SETS[joints].human_data])
    assert chosen.joints == joints and chosen.select(joints) is chosen


def test_sets_within_other_sets_are_selected_and_others_refused():
    everyone = people(3)
    assert_same(everyone.select("smpl_54").select("common_24"), everyone.select("common_24"))
    assert_same(everyone.select("smpl_49").select("evaluation_14"), everyone.select("evaluation_14"))
    with pytest.raises(ValueError, match="smpl_54 lacks 25 joints of smpl_49; read the file as smpl_49"):
        everyone.select("smpl_54").select("smpl_49")
    with pytest.raises(ValueError, match="no joint set is called 'coco'; there are human_data, smpl_54"):
        everyone.select("coco")


def test_labels_that_a_file_lacks_are_zeros_with_flag_0():
    everyone = people(5, "common_24", keypoints3d=None)
    labels = everyone.labels([3, 0])
    assert labels["keypoints3d"].shape == (2, 24, 4) and not labels["keypoints3d"].any()
    assert not labels["has_keypoints3d"].any() and labels["has_keypoints2d"].all()
    np.testing.assert_array_equal(labels["keypoints2d"], everyone.keypoints2d[[3, 0]])
    np.testing.assert_array_equal(labels["has_smpl"], everyone.has_smpl[[3, 0]])
    assert people(5, keypoints2d=None).labels(slice(0, 2))["has_keypoints2d"].tolist() == [False, False]
