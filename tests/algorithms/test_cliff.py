"""CLIFF: numbers of the published code, training, weights of both published layouts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hmrcli.algorithms.cliff import CLIFF, bbox_info, build_cliff, diagonal, losses, through_photo
from hmrcli.algorithms.targets import make_targets
from hmrcli.body.camera import full_image_translation
from hmrcli.body.joints import SMPL_54
from hmrcli.body.model import BodyOutput
from hmrcli.data.augmentation import SampleAugmentation, augment_joints2d, augmented_affine
from hmrcli.data.crop import crop_image, crop_people, square_around
from hmrcli.errors import BadInput
from hmrcli.layers import Crops, Prediction, load_weights
from hmrcli.layers.crops import whole_photos
from hmrcli.recipe import load_recipe
from hmrcli.recipe.algorithms import ALGORITHMS
from tests.algorithms.checks import assert_rotations, assert_trains, parameter_count, published_state
from tests.algorithms.golden import _normal, assert_close, golden, mean_parameters, regenerate

SHAPE = ALGORITHMS["cliff"].crop_shapes[192]


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    return golden("cliff")


@pytest.fixture(scope="module")
def network(body) -> CLIFF:
    network = build_cliff(body, mean=mean_parameters())
    regenerate(network)
    return network.eval()


def crops_of(data: dict[str, np.ndarray]) -> Crops:
    """The five boxes whose cameras are projected."""
    box = torch.from_numpy(np.concatenate([data["project/in/center"], data["project/in/side"][:, None]], 1))
    size = torch.from_numpy(data["project/in/image_wh"]).float()
    affine = torch.from_numpy(data["project/in/crop_trans"]).float()
    return Crops(torch.zeros(5, 3, 256, 192), affine, box.float(), size)


@pytest.mark.parametrize("shape", ["", "224/"])
def test_equals_published_network(network, data, shape):
    assert published_state(network) == set(data["state"])
    assert (parameter_count(network), parameter_count(network.head)) == (26_980_573, 3_472_541)
    images = _normal("image", (2, 3, 224, 224) if shape else tuple(data["image_shape"]))
    with torch.inference_mode():
        features = network.features(torch.from_numpy(images))
        rotmat, betas, cam = network.head(features, torch.from_numpy(data["bbox_info"]))
    for name, value in {"features": features, "rotmat": rotmat, "betas": betas, "cam": cam}.items():
        assert_close(value, data[shape + name])
    assert_rotations(rotmat)


@pytest.mark.parametrize("i", range(5))
def test_boxes_and_crops_are_those_of_the_published_code(data, i):
    given = {name: data[f"box/{i}/in/{name}"] for name in ("image_wh", "bbox_xywh", "keypoints2d")}
    flip = bool(data[f"box/{i}/in/flip"])
    scale, degrees = (float(data[f"box/{i}/in/{name}"]) for name in ("scale_factor", "rotation"))
    made = SampleAugmentation(flip=flip, scale=scale, rotation=np.radians(degrees))
    center, side = square_around(given["bbox_xywh"])
    affine = augmented_affine(made, center, float(side), SHAPE)
    joints = augment_joints2d(given["keypoints2d"], made, affine, SMPL_54.flip)
    expected = data[f"box/{i}/out/keypoints2d"]
    seen = expected[:, 2] > 0  # the published code leaves the others where they were
    np.testing.assert_allclose(joints[seen], expected[seen], atol=1e-3)
    width, height = given["image_wh"]
    x = width - 1 - center[0] if flip else center[0]
    np.testing.assert_allclose([x, center[1]], data[f"box/{i}/out/center"], atol=1e-6)
    box = torch.tensor([[x, center[1], side * scale]], dtype=torch.float32)
    crops = Crops(torch.zeros(1), torch.zeros(1), box, torch.tensor([[width, height]]).float())
    assert diagonal(crops).item() == pytest.approx(float(data[f"box/{i}/out/focal_length"]), rel=1e-6)
    assert_close(bbox_info(crops)[0], data[f"box/{i}/out/bbox_info"])
    if i < 2:
        crop = crop_image(data["box/image"], affine, SHAPE)[::2, ::2]
        assert np.abs(crop.astype(int) - data[f"box/{i}/out/crop"]).max() <= 2


def test_cameras_place_bodies_in_the_photo_as_published(data):
    crops = crops_of(data)
    cam, joints = (torch.from_numpy(data[f"project/in/{name}"]) for name in ("cam", "joints"))
    transl = full_image_translation(
        cam, crops.box[:, :2], crops.box[:, 2], diagonal(crops), crops.photo_size / 2
    )
    assert_close(transl, data["project/out/transl"])
    middle = torch.tensor([96.0, 128.0])
    assert_close(through_photo(joints, cam, crops, 192) + middle, data["project/out/keypoints2d_crop"])


@pytest.mark.parametrize("kind", ["normal", "l1"])
def test_losses_equal_the_published_code(data, kind):
    def given(name: str) -> torch.Tensor:
        return torch.from_numpy(data[f"loss/in/{name}"])

    class Body:
        def __call__(self, rotmat, betas, transl=None):
            return BodyOutput(given("gt_vertices"), None)

        def smpl_54_joints(self, output):
            return torch.from_numpy(data["project/in/joints"])

    changes = [f"losses.{name}.kind=l1" for name in load_recipe("cliff").losses] if kind == "l1" else []
    recipe = load_recipe("cliff", changes)
    # Labels of all algorithms are in the frame of a square crop of 224.
    points = given("gt_kp2d").clone()
    points[..., :2] = (points[..., :2] - torch.tensor([96.0, 128.0])) * (224 / 192) + 112
    flags = torch.ones(5)
    labels = {
        **{"keypoints2d": points, "keypoints3d": given("gt_joints"), "pose": given("gt_pose")},
        **{"betas": given("gt_betas"), "has_smpl": given("has_smpl")},
        **dict.fromkeys(("has_keypoints2d", "has_keypoints3d"), flags),
    }
    cam = torch.from_numpy(data["project/in/cam"])
    fields = (given(name) for name in ("pred_vertices", "pred_rotmat", "pred_betas"))
    prediction = Prediction(cam, *fields, joints=torch.zeros(5, 24, 3))
    terms = losses(prediction, make_targets(recipe, labels, crops_of(data), Body()), Body(), recipe)
    for name, loss in recipe.losses.items():
        expected = data[f"loss:{kind}/{'pose' if name == 'rotmat' else name}"]
        np.testing.assert_allclose(loss.weight * terms[name], expected, rtol=1e-5, err_msg=name)


def test_a_step_reaches_every_parameter(body):
    network = build_cliff(body, "resnet18").train()
    crops = crop_people(np.full((300, 400, 3), 99, np.uint8), [[9, 9, 50, 90], [0, 40, 90, 99]], 1.2, SHAPE)
    prediction = network(crops._replace(images=torch.randn(2, 3, 256, 192)))
    assert_trains(network, [prediction.cam, prediction.vertices, prediction.rotmat, prediction.betas])


def test_where_the_box_lies_matters_and_pictures_alone_are_whole_photos(network):
    images = torch.randn(1, 3, 64, 48)
    whole = whole_photos(images)
    moved = whole._replace(box=whole.box + torch.tensor([20.0, 0.0, 0.0]))
    with torch.inference_mode():
        assert torch.equal(network(images).rotmat, network(whole).rotmat)
        assert not torch.allclose(network(moved).rotmat, network(whole).rotmat)


def test_weights_of_both_published_layouts_are_read(network, body, tmp_path: Path):
    state = network.state_dict()
    theirs = {name.replace("backbone.", "encoder.").removeprefix("head."): v for name, v in state.items()}
    torch.save({"state_dict": {**state, "body_model_train.shapedirs": torch.ones(2)}}, tmp_path / "mm3d.pth")
    torch.save({"model": {f"module.{name}": value for name, value in theirs.items()}}, tmp_path / "own.pt")
    for name in ("mm3d.pth", "own.pt"):
        other = build_cliff(body)
        report = load_weights(other, tmp_path / name)
        assert not report.missing and not report.unexpected
        assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())
    with pytest.raises(
        BadInput, match=r"`head.fc1.weight` has shape \(1024, 2208\), expected \(1024, 515\)|this"
    ):
        load_weights(build_cliff(body, "resnet18"), tmp_path / "mm3d.pth")
