"""Networks in the loop: from crops to bodies in the full image, with fresh weights on the open body."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from hmrcli.algorithms import build_network
from hmrcli.algorithms.predict import predict
from hmrcli.assets.bundled import bundled
from hmrcli.body import load_body
from hmrcli.camera import Camera
from hmrcli.data.crop import crop_people
from hmrcli.errors import BadInput, UsageError
from hmrcli.inference import Predictor
from hmrcli.inference.images import read_image
from hmrcli.inference.person import People
from hmrcli.layers import save_weights
from hmrcli.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("narrow_backbones")

BOX = [900.0, 540.0, 240.0, 380.0]


def checkpoint_of(recipe: str, folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / f"{recipe}.safetensors"
    save_weights(build_network(load_recipe(recipe), load_body("open")), path)
    return path


@pytest.fixture(scope="module")
def hmr(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor("hmr_normal", checkpoint_of("hmr_normal", tmp_path_factory.mktemp("hmr")), device="cpu")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return read_image(bundled("photos/walk.jpg"))


@pytest.fixture(scope="module")
def fitted(photo: np.ndarray) -> People:
    """Who is in the photo by the default."""
    return Predictor.from_default()(photo)


def test_the_body_lies_where_the_crop_s_camera_puts_it(hmr: Predictor, photo: np.ndarray) -> None:
    (person,) = hmr(photo, [BOX])
    assert person.method == "regression" and np.allclose(person.bbox_xywh, BOX)
    s, tx, ty = person.cam
    x, y, width, height = BOX
    side = 1.25 * max(width, height)
    crop = s * (person.joints3d[:, :2] + [tx, ty])  # in [-1, 1]
    expected = crop * side / 2 + [x + width / 2, y + height / 2]
    # The crop's camera sees all of the body at one depth; the photo's each joint at its own.
    middle, distance = np.array(person.principal_point), person.transl[2]
    nearer = distance / (distance + person.joints3d[:, 2:])
    assert np.ptp(nearer) > 0.01
    assert np.allclose(person.joints2d, middle + nearer * (expected - middle), rtol=0, atol=0.01)


def test_a_lens_shows_the_body_in_its_crop(hmr: Predictor, photo: np.ndarray) -> None:
    lens = Camera(1900.0, (780.0, 560.0), 884, 497, "given", 1850.0, (-0.25, 0.08, 0.002, -0.003))
    lens = lens.resized(1768, 994)
    (person,) = hmr(photo, [BOX], camera=lens)
    s, tx, ty = person.cam
    x, y, width, height = BOX
    side = 1.25 * max(width, height)
    far = person.joints3d * [1, 1, 0] + person.transl  # without depth within the body
    expected = s * (person.joints3d[:, :2] + [tx, ty]) * side / 2 + [x + width / 2, y + height / 2]
    off = np.abs(lens.project(far) - expected).max()
    assert off < 0.015 * side  # a lens bends straight lines
    flat = Camera(lens.focal_length, lens.principal_point, 1768, 994)
    assert np.abs(flat.project(far) - expected).max() > 2 * off
    assert person.camera is lens


def test_a_camera_of_another_picture_is_refused(hmr: Predictor, photo: np.ndarray) -> None:
    camera = Camera.of_focal_length(1000, 884, 497)
    (person,) = hmr(photo, [BOX], camera=camera)
    assert person.camera == Camera.of_focal_length(2000, 1768, 994)
    assert hmr(photo, [BOX], focal_length=2000)[0].camera == person.camera
    with pytest.raises(UsageError, match="640x480, the image has 1768x994"):
        hmr(photo, [BOX], camera=Camera.of_focal_length(1000, 640, 480))
    with pytest.raises(ValueError, match="one of both"):
        hmr(photo, [BOX], focal_length=2000, camera=camera)


def test_people_and_images_go_through_in_one_batch_as_one_by_one(hmr: Predictor, photo: np.ndarray) -> None:
    other = np.ascontiguousarray(photo[:, ::-1])
    boxes = [[BOX, [560, 60, 130, 390]], [[100, 100, 200, 300]]]
    first, second = hmr.many([photo, other], boxes)
    assert (len(first), len(second)) == (2, 1)
    for together, image, box in zip([*first, *second], [photo, photo, other], [*boxes[0], *boxes[1]]):
        (alone,) = hmr(image, [box])
        assert np.allclose(together.vertices, alone.vertices, atol=1e-4)
        assert np.allclose(together.transl, alone.transl, rtol=1e-3)


def test_a_network_answers_for_the_same_people_as_the_default(
    hmr: Predictor, photo: np.ndarray, fitted: People
) -> None:
    regressed = hmr(photo)
    assert np.allclose([p.bbox_xywh for p in regressed], [p.bbox_xywh for p in fitted])
    assert hmr(np.full((200, 200, 3), 127, np.uint8)) == []
    assert len(hmr(photo, max_people=1)) == 1


def test_several_images_are_fitted_as_one_by_one(photo: np.ndarray, fitted: People) -> None:
    blank = np.full((64, 64, 3), 127, np.uint8)
    several = Predictor.from_default().many([blank, photo])
    assert [len(people) for people in several] == [0, 2]
    assert [len(people.notes) for people in several] == [1, 0]  # in so small a picture
    for together, alone in zip(several[1], fitted, strict=True):
        assert np.allclose(together.rotmat, alone.rotmat, atol=1e-4)


def test_the_crop_s_scale_is_the_caller_s(hmr: Predictor, photo: np.ndarray) -> None:
    tight = Predictor(hmr.recipe, hmr.checkpoint, device="cpu", bbox_scale=1.0)
    x, y, width, height = BOX
    grown = [x + width / 2 - 0.625 * height, y - 0.125 * height, 1.25 * height, 1.25 * height]
    (wide,), (same,) = hmr(photo, [BOX]), tight(photo, [grown])
    assert np.allclose(wide.vertices, same.vertices, atol=1e-5)
    (narrow,) = tight(photo, [BOX])
    assert not np.allclose(wide.vertices, narrow.vertices, atol=1e-5)


@pytest.mark.parametrize("recipe", ["graphcmr_l1", "graphormer_l1"])
def test_mesh_networks(recipe: str, tmp_path: Path, photo: np.ndarray) -> None:
    predictor = Predictor(recipe, checkpoint_of(recipe, tmp_path), device="cpu")
    (person,) = predictor(photo, [BOX])
    assert person.vertices.shape == (predictor.body.num_vertices, 3) and person.joints3d.shape == (24, 3)
    assert np.isfinite(person.joints2d).all()
    document = person.as_json()
    if recipe == "graphormer_l1":  # a mesh, and no parameters
        assert document["rotmat"] is document["pose"] is document["betas"] is None
        assert not {"rotmat", "pose", "betas"} & set(person.arrays())
        with pytest.raises(UsageError, match="without joint rotations"):
            predictor.method.require_rotations()
    else:
        assert np.shape(document["rotmat"]) == (24, 3, 3)


def test_a_checkpoint_of_another_network_is_refused(hmr: Predictor) -> None:
    with pytest.raises(BadInput, match="HMR"):
        Predictor("graphcmr_l1", hmr.checkpoint)


def test_recipe_and_checkpoint_go_together(hmr: Predictor) -> None:
    with pytest.raises(ValueError, match="both"):
        Predictor("hmr_l1")


def test_a_network_is_told_where_the_box_lies_in_the_photo(tmp_path: Path, photo: np.ndarray) -> None:
    predictor = Predictor("cliff", checkpoint_of("cliff", tmp_path), device="cpu")
    (person,) = predictor(photo, [BOX])
    shape = load_recipe("cliff").crop_shape
    assert shape == (192, 256)
    crops = crop_people(photo, [BOX], 1.25, shape)
    expected = predict(predictor.method.network, crops)
    assert np.allclose(person.cam, expected.cam.detach().numpy()[0], atol=1e-5)
    elsewhere = predict(
        predictor.method.network, crops._replace(box=crops.box - torch.tensor([400.0, 0.0, 0.0]))
    )
    assert not np.allclose(person.rotmat, elsewhere.rotmat.detach().numpy()[0], rtol=0, atol=1e-5)
    s, tx, ty = person.cam
    x, y, width, height = BOX
    pixels = s * 1.25 * max(width, height)
    focal, middle = person.focal_length, np.array(photo.shape[1::-1]) / 2
    assert focal == pytest.approx(np.hypot(*photo.shape[:2]))
    offset = 2 * (np.array([x + width / 2, y + height / 2]) - middle) / pixels
    assert np.allclose(person.transl, [tx + offset[0], ty + offset[1], 2 * focal / pixels], rtol=1e-4)


def test_a_file_a_pillow_image_and_an_array_are_the_same_photo(photo: np.ndarray, hmr: Predictor) -> None:
    path = bundled("photos/walk.jpg")
    with Image.open(path) as opened:
        people = [hmr(image, [BOX]) for image in (path, str(path), opened, photo)]
    for (one,) in people:
        assert np.array_equal(one.vertices, people[0][0].vertices)
        assert one.focal_length == people[0][0].focal_length


def test_a_pillow_image_is_turned_as_its_exif_says_and_its_lens_is_known(
    hmr: Predictor, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif.get_ifd(0x8769)[0xA405] = 6, 50
    path = tmp_path / "turned.jpg"
    Image.new("RGB", (300, 200), "grey").save(path, exif=exif.tobytes())
    with Image.open(path) as opened:
        ((from_file,), (from_image,)) = (hmr(image, [[50, 50, 100, 200]]) for image in (path, opened))
    for person in (from_file, from_image):
        assert person.image.shape == (300, 200, 3)
        assert person.focal_length == pytest.approx(50 / np.hypot(36, 24) * np.hypot(300, 200), rel=1e-5)
    assert any("one tone" in note for note in hmr(path).notes)


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3)), None, [1]])
def test_what_is_no_image_is_refused_by_its_kind(hmr: Predictor, image: Any) -> None:
    with pytest.raises(UsageError, match="expected a path, a PIL image or an array"):
        hmr(image)


@pytest.mark.parametrize("suffix", ["glb", "obj", "ply"])
def test_a_person_saves_its_mesh_before_the_camera(
    hmr: Predictor, photo: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    (person,) = hmr(photo, [BOX])
    mesh = trimesh.load_mesh(person.save(tmp_path / f"me.{suffix}"), process=False)
    placed = (person.vertices + person.transl) * [1, -1, -1]
    assert np.allclose(mesh.vertices[: len(placed)], placed, atol=1e-5)


def test_a_person_shows_itself_in_a_notebook(hmr: Predictor, photo: np.ndarray) -> None:
    (person,) = hmr(photo, [BOX])
    shown = cv2.imdecode(np.frombuffer(person._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    height, width = photo.shape[:2]
    assert shown.shape[0] == height and shown.shape[1] > width
    changed = (np.abs(shown[:, :width, ::-1].astype(int) - photo) > 20).any(2)
    _, x = np.nonzero(changed)
    assert len(x) > 1000 and abs(np.median(x) - (BOX[0] + BOX[2] / 2)) < BOX[2]
    assert "vertices" not in repr(person)


def test_both_ways_have_the_same_attributes(hmr: Predictor) -> None:
    assert set(vars(hmr)) == set(vars(Predictor.from_default()))
