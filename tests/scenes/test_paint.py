"""Pictures of the open data set: bodies where the body model puts them, clothes where they are worn."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hmrcli.body import BodyModel, load_body
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.render.rasteriser import Camera, interpolate, merge, rasterise
from hmrcli.scenes.backdrops import Backdrop, paint_backdrop
from hmrcli.scenes.looks import BOTTOMS, HAIR_STYLES, PATTERNS, Cloth, Look, Top
from hmrcli.scenes.occluders import draw_occluder
from hmrcli.scenes.paint import NOBODY, OCCLUDED, paint_scene
from hmrcli.scenes.posing import pose_people
from hmrcli.scenes.scene import Ground, Lens, Light, Person, Scene

SIZE = 160
CAMERA = Camera(200.0, (SIZE / 2, SIZE / 2))
MIDDLE = 0.3
RED, BLACK, WHITE = (0.8, 0.1, 0.1), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
PLAIN = Cloth((RED, WHITE, BLACK), weave=0.0)
BARE = Look(
    skin=(0.8, 0.6, 0.5),
    hair=BLACK,
    hair_style="bald",
    hair_length=0.1,
    hair_volume=0.0,
    top=None,
    outer=None,
    bottom="trousers",
    bottom_cloth=PLAIN,
    bottom_hem=-1.1,
    bottom_loose=0.0,
    waist=-0.1,
    flare=0.2,
    shoes=None,
    shoe_top=-1.08,
    seed=5,
)
SHIRT = Top(PLAIN, sleeve=0.3, hem=-0.2, loose=0.01)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def facing(look: Look = BARE, heading: float = 0.0, x: float = 0.0, z: float = 3.0) -> Person:
    """Somebody in T-pose who looks at the camera or, with any heading, away: height y lies at -y - MIDDLE."""
    pose = np.zeros(72, np.float32)
    pose[:3] = (np.pi, 0, 0) if heading == 0 else (0, 0, np.pi)
    # The root turns about the pelvis, which is not the origin of T-pose.
    transl = np.array([x, 2 * 0.23 - MIDDLE, z], np.float32)
    return Person(pose, np.zeros(10, np.float32), transl, look)


def heights(mask: NDArray[np.bool_], z: float = 3.0) -> NDArray[np.float64]:
    """Where on the mean body the pixels of a mask lie, metres, for somebody at that distance."""
    return -MIDDLE - (np.nonzero(mask)[0] + 0.5 - SIZE / 2) * z / CAMERA.focal_length


def moving(seed: int, x: float, z: float, look: Look = BARE) -> Person:
    random = np.random.default_rng(seed)
    pose = random.normal(0, 0.3, 72).astype(np.float32)
    pose[:3] += (np.pi, 0, 0)
    return Person(
        pose, random.standard_normal(10).astype(np.float32), np.array([x, -0.2, z], np.float32), look
    )


def scene(*people: Person, ground: Ground | None = None, lens: Lens | None = None) -> Scene:
    return Scene(
        size=SIZE,
        camera=CAMERA,
        people=people,
        light=Light((-0.48, -0.64, -0.6), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), 0.2),
        ground=ground,
        backdrop=Backdrop("texture", "", 3, 4, (1.0, 1.0, 1.0), 0.002),
        occluders=(),
        lens=lens or Lens((0.0, 0.0), 0.0, 0.0, 90),
        seed=1,
    )


def painted(body: BodyModel, look: Look, heading: float = 0.0) -> NDArray[np.uint8]:
    return paint_scene(scene(facing(look, heading)), body).image


def differs(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (first != second).any(-1)


def test_poses_as_the_body_model_does(body: BodyModel) -> None:
    people = [moving(seed, 0.3, 3.0 + seed) for seed in range(4)]
    arrays = [np.stack([getattr(person, name) for person in people]) for name in ("pose", "betas", "transl")]
    vertices, joints = pose_people(*arrays, body)
    pose, betas, transl = map(torch.from_numpy, arrays)
    expected = body(rotmat_from_pose(pose), betas, transl)
    np.testing.assert_allclose(vertices, expected.vertices.numpy(), atol=1e-5)
    np.testing.assert_allclose(joints, expected.joints.numpy(), atol=1e-5)


def test_people_and_parts_agree_with_the_exact_rasteriser(body: BodyModel) -> None:
    people = [moving(1, -0.2, 3.0), moving(2, 0.25, 3.6)]
    painting = paint_scene(scene(*people), body)
    faces, window = body.faces.numpy(), (0, 0, SIZE, SIZE)
    vertices, all_faces = merge(painting.vertices, faces)
    raster = rasterise(vertices, all_faces, CAMERA, window)
    person = np.where(raster.face < 0, NOBODY, raster.face // len(faces))
    assert (painting.people == person).mean() > 0.985
    assert (painting.people == 1).any() and (painting.people == 0).any()

    # What moves a place most: the weights of its face's corners, interpolated.
    weights = np.tile(body.weights.numpy(), (2, 1))
    blend = interpolate(raster, weights, vertices, all_faces, CAMERA, window)
    both = (person >= 0) & (painting.people == person)
    assert (painting.parts[both] == blend.argmax(-1)[both]).mean() > 0.95
    assert (painting.parts[painting.people == NOBODY] == NOBODY).all()
    assert (painting.parts[painting.people >= 0] >= 0).all()


def test_labels_name_the_skin_whatever_is_worn(body: BodyModel) -> None:
    bare = paint_scene(scene(facing()), body)
    dressed = replace(BARE, top=SHIRT, bottom="skirt", bottom_hem=-0.7, hair_style="long", hair_volume=0.02)
    worn = paint_scene(scene(facing(dressed)), body)
    for first, second in ((bare.vertices, worn.vertices), (bare.joints, worn.joints)):
        np.testing.assert_array_equal(first[0], second[0])
    assert ((bare.people == 0) & (worn.people != 0)).sum() <= 5  # cloth lies on the skin, not below it
    assert (worn.people == 0).sum() > 1.05 * (bare.people == 0).sum()


def test_the_same_scene_gives_the_same_painting(body: BodyModel) -> None:
    ground, lens = Ground((0.0, -1.0, 0.0), -0.9), Lens((3.0, 1.0), 0.5, 4.0, 80)
    whole = scene(moving(1, 0.0, 3.0, replace(BARE, top=SHIRT)), ground=ground, lens=lens)
    first, second = paint_scene(whole, body), paint_scene(whole, body)
    for name in ("image", "people", "parts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert differs(first.image, paint_scene(replace(whole, seed=2), body).image).mean() > 0.5


def test_who_is_hidden_has_no_pixels(body: BodyModel) -> None:
    alone = paint_scene(scene(facing(x=0.2, z=6.0)), body)
    assert (alone.people == 0).any()
    together = paint_scene(scene(facing(x=0.2, z=6.0), facing(z=0.45)), body)
    assert set(np.unique(together.people)) <= {1, NOBODY}


def test_behind_the_camera_nobody_is_painted(body: BodyModel) -> None:
    behind = scene(facing(z=-3.0))
    painting = paint_scene(behind, body)
    assert (painting.people == NOBODY).all() and (painting.parts == NOBODY).all()
    np.testing.assert_array_equal(painting.image, paint_backdrop(behind.backdrop, SIZE, CAMERA, None))


def test_things_before_people_hide_them(body: BodyModel) -> None:
    occluder = draw_occluder(np.random.default_rng(0), (60.0, 20.0, 40.0, 120.0), SIZE)
    free = scene(facing())
    hidden = paint_scene(replace(free, occluders=(occluder,)), body)
    covered = hidden.people == OCCLUDED
    assert covered.any() and (hidden.parts[covered] == NOBODY).all()
    np.testing.assert_array_equal(hidden.people[~covered], paint_scene(free, body).people[~covered])


@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name not in ("plain", "denim")])
def test_a_shirt_shows_its_pattern_where_it_is_and_nowhere_else(body: BodyModel, pattern: str) -> None:
    def shirt(cloth: Cloth) -> NDArray[np.uint8]:
        return painted(body, replace(BARE, top=replace(SHIRT, cloth=cloth)))

    plain = shirt(PLAIN)
    garment = differs(plain, shirt(replace(PLAIN, colours=((0.1, 0.2, 0.9), WHITE, BLACK))))
    changed = differs(plain, shirt(replace(PLAIN, pattern=pattern)))
    assert 0.02 * garment.sum() < changed.sum()
    assert not (changed & ~garment).any()


def test_denim_is_worn_at_the_thighs(body: BodyModel) -> None:
    cloth = replace(PLAIN, colours=((0.1, 0.2, 0.4), WHITE, WHITE))
    plain, denim = (
        paint_scene(scene(facing(replace(BARE, bottom_cloth=replace(cloth, pattern=pattern)))), body)
        for pattern in ("plain", "denim")
    )
    changed = differs(plain.image, denim.image)
    assert changed[np.isin(plain.parts, (1, 2))].mean() > 0.5
    assert not changed[np.isin(plain.parts, (15, 18, 19, 20, 21))].any()


def test_hems_cuffs_and_necklines_lie_where_the_look_says(body: BodyModel) -> None:
    for sleeve, hem in ((0.3, -0.2), (0.6, 0.0)):
        cut = replace(SHIRT, sleeve=sleeve, hem=hem, loose=0.003)
        look = replace(BARE, top=cut)
        dyed = replace(look, top=replace(cut, cloth=replace(PLAIN, colours=(BLACK,) * 3)))
        shirt = differs(painted(body, look), painted(body, dyed))
        width = np.ptp(np.nonzero(shirt)[1]) * 3.0 / CAMERA.focal_length
        assert width / 2 == pytest.approx(sleeve, abs=0.03)
        assert heights(shirt).min() == pytest.approx(hem, abs=0.03)
        assert heights(shirt).max() == pytest.approx(0.29, abs=0.05)  # the neck


@pytest.mark.parametrize("bottom", BOTTOMS)
def test_bottoms_colour_the_legs_alone(body: BodyModel, bottom: str) -> None:
    look = replace(BARE, bottom=bottom, bottom_hem=-0.6, bottom_loose=0.02)
    dyed = replace(look, bottom_cloth=replace(PLAIN, colours=(BLACK, WHITE, BLACK)))
    for heading in (0.0, 1.0):
        garment = differs(painted(body, look, heading), painted(body, dyed, heading))
        assert heights(garment).max() == pytest.approx(look.waist, abs=0.03)
        assert heights(garment).min() == pytest.approx(look.bottom_hem, abs=0.05)


@pytest.mark.parametrize("style", [style for style in HAIR_STYLES if style != "bald"])
def test_hair_has_its_colour_on_the_head_and_down_to_its_length(body: BodyModel, style: str) -> None:
    look = replace(BARE, hair_style=style, hair_volume=0.02, hair_length=0.05)
    painting = paint_scene(scene(facing(look, heading=1.0)), body)
    hair = differs(painting.image, painted(body, replace(look, hair=WHITE), heading=1.0))
    assert hair[painting.parts == 15].mean() > 0.5
    assert (heights(hair).min() < 0.25) == (style == "long")
    assert heights(hair).min() > 0.0 and heights(hair).max() < 0.58


@pytest.mark.parametrize(
    ("change", "other"),
    [
        ({"shoes": PLAIN}, {"shoes": replace(PLAIN, colours=(BLACK,) * 3)}),
        ({"outer": replace(SHIRT, opening=0.05)}, {"outer": replace(SHIRT, opening=0.0)}),
    ],
)
def test_what_else_is_worn_changes_the_picture_where_it_is(
    body: BodyModel, change: dict[str, Any], other: dict[str, Any]
) -> None:
    look = replace(BARE, bottom_hem=-0.6)
    first = paint_scene(scene(facing(replace(look, **change))), body)
    changed = differs(first.image, painted(body, replace(look, **other)))
    found = heights(changed)
    low, high = {"shoes": (-1.25, -1.0), "outer": (-0.4, 0.35)}[next(iter(change))]
    assert changed.any() and low - 0.03 < found.min() and found.max() < high + 0.03


def test_faces_are_not_blank(body: BodyModel) -> None:
    near = scene(facing(z=1.0))
    near = replace(near, camera=Camera(400.0, (SIZE / 2, SIZE / 2 + 400 * (MIDDLE + 0.4))))
    painting = paint_scene(near, body)
    skin = painting.image[painting.parts == 15].mean(-1)
    vertices = painting.vertices[0][body.landmark_vertices.numpy()[:3]]  # nose, right eye, left eye
    places = near.camera.focal_length * vertices[:, :2] / vertices[:, 2:] + near.camera.principal_point
    (x, y), eyes = places[0].astype(int), places[1:].astype(int)
    for column, row in eyes:
        eye = painting.image[row - 3 : row + 4, column - 3 : column + 4].mean(-1)
        assert eye.min() < 0.4 * np.median(skin)
    lip = y + round(0.036 * near.camera.focal_length / float(vertices[0, 2]))  # below the tip of the nose
    red, green, _ = painting.image[:, x - 2 : x + 3].astype(float).mean(1).T
    assert (red / green)[lip] > 1.1 * (red / green)[y - 45]


def test_people_darken_the_ground_and_nothing_above_it(body: BodyModel) -> None:
    ground = Ground((0.0, -1.0, 0.0), -0.88)
    with_ground = scene(facing(), ground=ground)
    painting = paint_scene(with_ground, body)
    backdrop = paint_backdrop(with_ground.backdrop, SIZE, CAMERA, ground)
    rest = painting.people == NOBODY
    change = painting.image.astype(int) - backdrop
    darker = rest & (change.sum(-1) < -30)
    horizon = SIZE // 2
    assert darker[horizon:].sum() > 60
    outline = np.pad(~rest, 1)
    beside = outline[:-2, 1:-1] | outline[2:, 1:-1] | outline[1:-1, :-2] | outline[1:-1, 2:] | ~rest
    assert not change[:horizon][~beside[:horizon]].any()


def test_the_lens_blurs_along_its_motion_and_adds_noise(body: BodyModel) -> None:
    still = paint_scene(scene(facing()), body).image.astype(float)
    for motion, axis in (((6.0, 0.0), 1), ((0.0, 6.0), 0)):
        moved = paint_scene(scene(facing(), lens=Lens(motion, 0.0, 0.0, 90)), body).image.astype(float)
        along, across = (
            np.abs(np.diff(moved, axis=k)).mean() / np.abs(np.diff(still, axis=k)).mean()
            for k in (axis, 1 - axis)
        )
        assert along < 0.85 * across
        assert moved.mean() == pytest.approx(still.mean(), abs=1.0)
    noisy = paint_scene(scene(facing(), lens=Lens((0.0, 0.0), 0.0, 5.0, 90)), body).image
    middle = (still > 30) & (still < 225)
    assert (noisy - still)[middle].std() == pytest.approx(5.0, abs=0.5)
