"""What pictures of the open data set show, before they are painted."""

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hmrcli.scenes.sample import APART, draw_scene, posed, touching
from hmrcli.scenes.splits import SIZE, SPLITS
from hmrcli.scenes.subjects import draw_subject
from hmrcli.scenes.views import CUT_FILLS, FILLS, box_of, draw_view, inside, pixels

ROWS = 40


@pytest.fixture(scope="module")
def scenes():
    return {name: [draw_scene(name, index) for index in range(ROWS)] for name in SPLITS}


def bodies(scene):
    """Vertices and joints of all people, in place."""
    pose, betas, transl = (
        np.stack([getattr(person, name) for person in scene.people]) for name in ("pose", "betas", "transl")
    )
    vertices, joints = posed(pose, betas)
    return vertices + transl[:, None], joints + transl[:, None]


def numbers(scene):
    """What rounding may change in the last place, and what it must not change."""
    people = [np.concatenate([p.pose, p.betas, p.transl]) for p in scene.people]
    loose = np.concatenate([*people, [scene.camera.focal_length, *scene.camera.principal_point]])
    return loose, (scene.backdrop, scene.lens, scene.seed, scene.light, [p.look for p in scene.people])


def same(one, other) -> bool:
    (a, exact), (b, other_exact) = numbers(one), numbers(other)
    return len(a) == len(b) and np.allclose(a, b, rtol=1e-5, atol=1e-5) and exact == other_exact


def test_a_row_is_the_same_in_another_process_and_in_another_order(scenes):
    program = (
        "import pickle, sys; from hmrcli.scenes.sample import draw_scene\n"
        "rows = [('open-wild', 3), ('open-fitted', 2), ('open-studio', 1)]\n"
        "sys.stdout.buffer.write(pickle.dumps([draw_scene(*row) for row in rows]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    drawn = pickle.loads(done.stdout)
    expected = [scenes["open-wild"][3], scenes["open-fitted"][2], scenes["open-studio"][1]]
    assert all(same(one, other) for one, other in zip(drawn, expected))


def test_no_two_rows_and_no_two_parts_share_a_picture(scenes):
    every = [scene for part in scenes.values() for scene in part]
    assert len({scene.seed for scene in every}) == len(every)
    assert len({scene.people[0].pose.tobytes() for scene in every}) == len(every)
    shapes = {name: {scene.people[0].betas.tobytes() for scene in part} for name, part in scenes.items()}
    assert all(len(shapes[name]) == ROWS for name in shapes if name != "open-studio")
    assert len(set.union(*shapes.values())) == sum(map(len, shapes.values()))
    assert len({split.stream for split in SPLITS.values()}) == len(SPLITS)
    unseen = {scene.backdrop.layout for name in ("open-test", "open-wild") for scene in scenes[name]}
    assert not unseen & {scene.backdrop.layout for scene in scenes["open-fitted"]}


def test_the_studio_has_8_people_and_4_cameras_at_one_height():
    split = SPLITS["open-studio"]
    subjects = [draw_subject(split, index) for index in range(400)]
    assert {subject.number for subject in subjects} == set(range(8))
    assert len({subject.betas.tobytes() for subject in subjects}) == 8
    assert {subject.view.place for subject in subjects} == set(range(4))
    assert len({subject.view.rotation.round(9).tobytes() for subject in subjects}) == 4
    first = [draw_scene("open-studio", i) for i in range(400) if subjects[i].number == 0][:3]
    assert first[0].people[0].look == first[1].people[0].look == first[2].people[0].look
    for index in range(8):
        scene = draw_scene("open-studio", index)
        assert len(scene.people) == 1 and not scene.occluders
        assert scene.ground.offset == pytest.approx(-1.6)


def test_people_are_in_the_picture_and_before_the_camera(scenes):
    for name, part in scenes.items():
        cut = 0
        for scene in part:
            vertices, joints = bodies(scene)
            assert vertices[..., 2].min() > 0.5
            places = pixels(joints[0], scene.camera)
            fill = box_of(places)[2:].max() / SIZE
            assert fill < CUT_FILLS[1] + 1e-6 and fill > FILLS[0] - 1e-6
            cut += not inside(places).all()
            assert inside(places[:24]).sum() >= 10
        if SPLITS[name].truncated == 0:
            assert cut == 0
    assert (
        0.1
        < np.mean([not inside(pixels(bodies(s)[1][0], s.camera)).all() for s in scenes["open-wild"]])
        < 0.6
    )


def test_people_stand_on_the_ground_that_the_camera_sees(scenes):
    seen = 0
    for name in ("open-studio", "open-test"):
        for index, scene in enumerate(scenes[name]):
            if scene.ground is None:
                continue
            up = np.array(scene.ground.normal)
            assert up @ up == pytest.approx(1) and up[1] < 0
            vertices, _ = bodies(scene)
            gaps = (vertices @ up).min(1) - scene.ground.offset
            grounded = draw_subject(SPLITS[name], index).grounded
            assert gaps[0] == pytest.approx(0, abs=1e-4) if grounded else 0.04 < gaps[0] < 0.41
            assert gaps[1:] == pytest.approx(0, abs=1e-4)
            assert scene.ground.offset < 0  # the camera is above it
            seen += 1
    assert seen > ROWS


def test_people_touch_nobody(scenes):
    crowds = [scene for scene in scenes["open-wild"] if len(scene.people) > 1]
    assert len(crowds) > ROWS / 3
    for scene in crowds:
        vertices, _ = bodies(scene)
        for i in range(len(vertices)):
            for j in range(i):
                apart = np.linalg.norm(vertices[i][::16, None] - vertices[j][None, ::16], axis=-1)
                assert apart.min() > 0.8 * APART


def test_touching_is_found_and_distance_is_not_taken_for_it():
    (body,), _ = posed(np.zeros((1, 72), np.float32), np.zeros((1, 10), np.float32))
    assert touching(body, body + (0.3, 0, 0)) and touching(body, body + (0, 0.2, 0.05))
    assert not touching(body, body + (0, 0, 0.7))
    assert not touching(body, body + (2.0, 0, 0))


@pytest.mark.parametrize("name", ["open-test", "open-wild"])
def test_views_come_from_above_and_below_as_far_as_a_part_says(name):
    split, up = replace(SPLITS[name]), (0, 1, 0)
    views = [draw_view(split, np.random.default_rng(seed)) for seed in range(500)]
    elevations = []
    for view in views:
        assert np.linalg.det(view.rotation) == pytest.approx(1)
        assert view.rotation @ view.rotation.T == pytest.approx(np.eye(3), abs=1e-9)
        ray = view.target / np.linalg.norm(view.target)
        elevations.append(np.degrees(np.arcsin(-ray @ (view.rotation @ up))))
    least, most, mean, _ = split.elevation
    # Roll, and a place beside the middle of the photo, change what was drawn by some degrees.
    assert min(elevations) > least - 16 and max(elevations) < most + 16
    assert np.mean(elevations) == pytest.approx(mean, abs=4)
    assert min(elevations) < least + 12 and max(elevations) > most - 20


def test_the_wild_is_harder(scenes):
    def mean(of):
        return [
            np.mean([of(scene) for scene in scenes[name]])
            for name in ("open-studio", "open-test", "open-wild")
        ]

    for harder in (
        lambda scene: len(scene.people),
        lambda scene: len(scene.occluders),
        lambda scene: np.hypot(*scene.lens.motion),
        lambda scene: scene.lens.noise,
        lambda scene: -scene.lens.jpeg_quality,
        lambda scene: -sum(scene.light.colour),
    ):
        studio, test, wild = mean(harder)
        assert studio <= test + 0.3 and test < wild
