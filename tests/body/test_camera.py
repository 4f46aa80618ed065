"""Cameras: the crop's and the full image's must put the body on the same pixels."""

import pytest
import torch

from hmrcli.body.camera import crop_camera, crop_translation, full_image_translation, project


def test_projection_is_a_pinhole():
    points = torch.tensor([[[0.0, 0.0, 2.0], [1.0, -0.5, 4.0]]])
    pixels = project(points, 1000.0, torch.tensor([320.0, 240.0]))
    assert pixels.tolist() == [[[320.0, 240.0], [570.0, 115.0]]]


def test_projection_with_a_camera_per_person():
    points = torch.randn(3, 5, 3) + torch.tensor([0.0, 0.0, 5.0])
    focal, center = torch.tensor([500.0, 600.0, 700.0]), torch.rand(3, 2) * 100
    together = project(points, focal, center)
    for i in range(3):
        torch.testing.assert_close(together[i], project(points[i], focal[i], center[i]))


def test_crop_translation_by_hand():
    transl = crop_translation(torch.tensor([0.9, 0.1, -0.2]))
    torch.testing.assert_close(transl, torch.tensor([0.1, -0.2, 2 * 5000 / (224 * 0.9)]))


@pytest.mark.parametrize("focal", [800.0, 5000.0])
def test_full_image_agrees_with_the_crop(focal):
    """A point at the body's depth falls on the crop's pixel, carried over to the full image."""
    cam = torch.tensor([[0.9, 0.1, -0.2], [1.2, -0.05, 0.3]])
    center, side = torch.tensor([[400.0, 300.0], [900.0, 520.0]]), torch.tensor([250.0, 410.0])
    principal = torch.tensor([640.0, 360.0])
    flat = torch.tensor([[0.3, -0.8, 0.0], [0.0, 0.0, 0.0], [-0.2, 0.9, 0.0]]).expand(2, 3, 3)
    in_crop = project(flat + crop_translation(cam)[:, None], 5000.0, torch.full((2,), 112.0))
    expected = (in_crop - 112) * (side / 224)[:, None, None] + center[:, None]
    transl = full_image_translation(cam, center, side, focal, principal)
    torch.testing.assert_close(project(flat + transl[:, None], focal, principal), expected, atol=1e-2, rtol=0)


def test_crop_camera_inverts_the_placement():
    cam = torch.tensor([[0.9, 0.1, -0.2], [1.2, -0.05, 0.3]])
    center, side = torch.tensor([[400.0, 300.0], [900.0, 520.0]]), torch.tensor([250.0, 410.0])
    where = (center, side, 1100.0, torch.tensor([640.0, 360.0]))
    torch.testing.assert_close(crop_camera(full_image_translation(cam, *where), *where), cam)
