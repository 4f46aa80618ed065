"""The open body as a child."""

import numpy as np
import pytest
import torch

from hmrcli.body import load_body
from hmrcli.body.ages import of_age


def height(body) -> float:
    return float(np.ptp(body.v_template[:, 1].numpy()))


def head_share(body) -> float:
    """Height of the head, from the head joint up, as a share of the body's."""
    joints = body.joint_regressor @ body.v_template
    return float(body.v_template[:, 1].max() - joints[15, 1]) / height(body)


def test_children_grow_and_their_heads_do_less():
    ages = [of_age(load_body("open"), years) for years in (1, 2, 5, 10, 14, 18)]
    heights = [height(body) for body in ages]
    assert heights == sorted(heights)
    # Averages of the WHO's growth tables: 0.75 m at one year, 1.38 m at ten.
    assert heights[0] == pytest.approx(0.75, abs=0.1) and heights[3] == pytest.approx(1.38, abs=0.08)
    shares = [head_share(body) for body in ages]
    assert shares == sorted(shares, reverse=True) and shares[0] > 1.5 * shares[-1]
    assert [body.age for body in ages] == [1, 2, 5, 10, 14, None]
    assert [body.size for body in ages] == pytest.approx([each / heights[-1] for each in heights])


def test_a_child_is_posed_like_an_adult():
    adult = load_body("open")
    child = of_age(adult, 4)
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(1, 24, 3, 3, generator=generator))[0]
    rotmat = turn * torch.linalg.det(turn)[..., None, None]
    betas = torch.randn(1, 10, generator=generator)
    posed = child(rotmat, betas)
    rest = child(torch.eye(3).expand(1, 24, 3, 3), betas)
    lengths = [
        (joints[:, 1:] - joints[:, list(child.parents[1:])]).norm(dim=-1)
        for joints in (posed.joints, rest.joints)
    ]
    torch.testing.assert_close(*lengths)
    grown = adult(torch.eye(3).expand(1, 24, 3, 3), betas).vertices - adult.v_template
    torch.testing.assert_close(rest.vertices - child.v_template, child.size * grown, atol=1e-5, rtol=1e-4)


def test_other_bodies_have_no_age():
    child = of_age(load_body("open"), 5)
    with pytest.raises(ValueError, match="adults"):
        of_age(child, 3)
    with pytest.raises(ValueError, match=r"1 years old, not 0\.5"):
        of_age(load_body("open"), 0.5)
    assert of_age(load_body("open"), 30).age is None
