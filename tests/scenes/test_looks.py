"""Looks of the open data set: as varied as people are, and numbers that the painter can take."""

import pickle
from collections import Counter
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from hmrcli.scenes.looks import BOTTOMS, HAIR_STYLES, PATTERNS, Cloth, Look, draw_look

COUNT = 1500


@pytest.fixture(scope="module")
def looks() -> list[Look]:
    random = np.random.default_rng(3)
    return [draw_look(random, random.standard_normal(10)) for _ in range(COUNT)]


def cloths(look: object) -> list[Cloth]:
    """All cloth that a look holds, at any depth."""
    if isinstance(look, Cloth):
        return [look]
    if not is_dataclass(look):
        return []
    return [cloth for field in fields(look) for cloth in cloths(getattr(look, field.name))]


def test_same_numbers_give_the_same_look() -> None:
    first, second = (draw_look(np.random.default_rng(7), np.zeros(10)) for _ in range(2))
    assert first == second == pickle.loads(pickle.dumps(first))
    assert first != draw_look(np.random.default_rng(8), np.zeros(10))


def test_every_kind_of_garment_hair_and_pattern_comes_up(looks: list[Look]) -> None:
    assert {look.bottom for look in looks} == set(BOTTOMS)
    assert {look.hair_style for look in looks} == set(HAIR_STYLES)
    assert {cloth.pattern for look in looks for cloth in cloths(look)} == set(PATTERNS)
    for part in ("top", "outer", "shoes"):
        worn = np.mean([getattr(look, part) is not None for look in looks])
        assert worn > 0.03, part
    plain = Counter(look.top.cloth.pattern for look in looks if look.top is not None)["plain"]
    assert 0.35 < plain / COUNT < 0.8  # most people wear plain clothes, but not nearly all


def test_lengths_lie_on_the_body_and_colours_can_be_shown(looks: list[Look]) -> None:
    for look in looks:
        for garment in (look.top, look.outer):
            if garment is not None:
                assert 0.1 < garment.sleeve < 0.7 and -0.4 < garment.hem < 0.1 and 0 < garment.loose < 0.03
        assert -1.15 < look.bottom_hem < look.waist < 0 and 0 < look.bottom_loose <= 0.03
        colours = [look.skin, look.hair, *(c for x in cloths(look) for c in x.colours)]
        assert 0 <= np.min(colours) <= np.max(colours) <= 1


def test_skins_range_from_dark_to_light_and_are_redder_than_blue(looks: list[Look]) -> None:
    skins = np.array([look.skin for look in looks])
    assert (skins[:, 0] > skins[:, 2]).all()
    light = skins.mean(1)
    assert light.min() < 0.3 and light.max() > 0.75
    assert 0.1 < (light < 0.4).mean() < 0.5 and 0.1 < (light > 0.65).mean() < 0.6


def test_shape_shifts_the_odds_of_skirts_and_long_hair() -> None:
    random, shapes = np.random.default_rng(0), np.zeros((2, 10))
    shapes[:, 1] = (-2.5, 2.5)
    broad, narrow = ([draw_look(random, shape) for _ in range(300)] for shape in shapes)
    long = [sum(look.hair_style == "long" for look in part) for part in (broad, narrow)]
    assert long[1] > 3 * long[0]
    skirts = [sum(look.bottom in ("skirt", "dress") for look in part) for part in (broad, narrow)]
    assert skirts[1] > 3 * skirts[0]
