from hmrcli.people.skeleton import KEYPOINTS, LANDMARK_EDGES, LANDMARK_KEYPOINTS, LANDMARK_MIRROR, LANDMARKS


def test_order_is_that_of_the_networks():
    assert len(KEYPOINTS) == 17
    assert KEYPOINTS[5:7] == ("left_shoulder", "right_shoulder")
    assert KEYPOINTS[15:] == ("left_ankle", "right_ankle")
    assert len(LANDMARKS) == len(set(LANDMARKS)) == 33
    known = {
        0: "nose",
        7: "left_ear",
        11: "left_shoulder",
        16: "right_wrist",
        18: "right_pinky",
        24: "right_hip",
    }
    known |= {27: "left_ankle", 30: "right_heel", 31: "left_foot_index", 32: "right_foot_index"}
    assert {index: LANDMARKS[index] for index in known} == known


def test_keypoints_are_among_the_landmarks():
    assert [LANDMARKS[i] for i in LANDMARK_KEYPOINTS] == list(KEYPOINTS)


def test_mirror_swaps_sides_and_undoes_itself():
    assert [LANDMARK_MIRROR[i] for i in LANDMARK_MIRROR] == list(range(33))
    assert sum(i == m for i, m in enumerate(LANDMARK_MIRROR)) == 1  # the nose alone is on no side


def test_edges_are_mirror_symmetric():
    edges = {frozenset(edge) for edge in LANDMARK_EDGES}
    assert {frozenset(LANDMARK_MIRROR[i] for i in edge) for edge in edges} == edges
