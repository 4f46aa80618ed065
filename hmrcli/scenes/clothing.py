"""From looks to what kernels take: numbers of garments, and meshes of skirts and long hair."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.scenes.looks import NOWHERE, PATTERNS, RGB, Cloth, Look, Top
from hmrcli.scenes.posing import Rest

Array = NDArray[Any]

LATTICE = 16
"""Side of the table of noise."""


class Wear(NamedTuple):
    """A look as kernels take it; see `surface_kernels` for the columns."""

    cuts: Array
    """(CUTS,) float32"""
    materials: Array
    """(6, 15) float32, colours in linear light."""


class Sheet(NamedTuple):
    """A mesh that hangs on the body, in T-pose."""

    points: Array
    """(N, 3) float32"""
    faces: Array
    """(F, 3) int32, seen from both sides."""
    joints: Array
    """(N, 4) int32"""
    weights: Array
    """(N, 4) float32"""
    slot: int
    """Row of the materials."""


@lru_cache(maxsize=1)
def noise_table() -> Array:
    """Makes a lattice (16, 16, 16, 4), flat, of float32 in [-1, 1]."""
    return np.random.default_rng(0).uniform(-1, 1, LATTICE**3 * 4).astype(np.float32)


def wear(look: Look) -> Wear:
    """Returns the numbers of a look."""
    from hmrcli.scenes import surface_kernels as k

    cuts = np.zeros(k.CUTS, np.float32)
    for first, garment in ((0, look.top), (k.GARMENT, look.outer)):
        if garment is not None:
            cuts[first : first + 6] = _cuts(garment)
    cuts[k.WAIST], cuts[k.BOTTOM_HEM] = look.waist, look.bottom_hem
    cuts[k.BOTTOM_LOOSE] = 0.003 if look.bottom in ("skirt", "dress") else look.bottom_loose
    cuts[k.SHOE_TOP] = NOWHERE if look.shoes is None else look.shoe_top
    cuts[k.VOLUME] = 0.0 if look.hair_style == "bald" else look.hair_volume
    cuts[k.LONG] = look.hair_style == "long"

    irises = ((0.25, 0.15, 0.08), (0.3, 0.4, 0.5), (0.25, 0.3, 0.15))
    worn: dict[int, Cloth | None] = {
        k.SKIN: Cloth(
            (look.skin, _lips(look.skin), irises[min(2, look.seed % 5 // 2)]), fold=0.0, gloss=0.10
        ),
        k.HAIR: Cloth((look.hair,) * 3, gloss=0.15),
        k.BOTTOM: look.bottom_cloth,
        k.TOP: look.top.cloth if look.top else None,
        k.OUTER: look.outer.cloth if look.outer else None,
        k.SHOES: look.shoes,
    }
    materials = np.zeros((len(worn), 15), np.float32)
    for slot, cloth in worn.items():
        if cloth is not None:
            materials[slot, :9] = np.square(np.array(cloth.colours)).ravel()
            materials[slot, 9:] = (
                PATTERNS.index(cloth.pattern), cloth.scale, cloth.fold, cloth.weave, cloth.gloss,
                look.seed % 1000 / 7.0,
            )  # fmt: skip
    return Wear(cuts, materials)


def _cuts(top: Top) -> tuple[float, ...]:
    return top.neck, top.depth, top.sleeve, top.hem, top.opening, top.loose


def _lips(skin: RGB) -> RGB:
    return min(0.95, skin[0] * 0.92), skin[1] * 0.68, skin[2] * 0.72


def sheets(look: Look, shaped: Array, rest: Rest) -> list[Sheet]:
    """Makes the sheets that hang on a body.

    Args:
        look: the person's.
        shaped: (V, 3) the body with its clothes on, T-pose.
        rest: the body model.
    """
    from hmrcli.scenes import surface_kernels as k

    found = []
    if look.bottom in ("skirt", "dress"):
        found.append(
            _skirt(look, look.bottom_hem, look.waist - 0.01, look.flare, 0.006, shaped, rest, k.BOTTOM)
        )
    elif look.top is not None and look.top.hem < -0.24 and look.top.loose > 0.01:
        found.append(_skirt(look, look.top.hem - 0.03, -0.16, 0.1, 0.012, shaped, rest, k.TOP))
    if look.outer is not None and look.outer.hem < -0.22:
        found.append(
            _skirt(look, 1.6 * look.outer.hem, -0.14, 0.12, 0.022, shaped, rest, k.OUTER, look.outer.opening)
        )
    crown = shaped[rest.parts == 15]
    head = np.array([0.0, crown[:, 1].max() - 0.522, crown[:, 2].max() - 0.263], np.float32)
    if look.hair_style == "long":
        found.append(_long_hair(look, head, k.HAIR))
    return found


@lru_cache(maxsize=8)
def _grid(rows: int, columns: int, closed: bool) -> Array:
    """(F, 3) faces of a lattice of points, row after row."""
    across = columns if closed else columns - 1
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(across), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    quads = np.stack([np.stack([a, b, c], -1), np.stack([b, d, c], -1)], -2)
    return quads.reshape(-1, 3).astype(np.int32)


def _skirt(
    look: Look, hem: float, waist: float, flare: float, gap: float, shaped: Array, rest: Rest, slot: int,
    opening: float = 0.0,
) -> Sheet:  # fmt: skip
    """A tube round hips and legs as wide as they are, wider towards the hem, with waves there."""
    rows, columns = 12, 44
    heights = np.linspace(waist, hem, rows)
    angles = np.linspace(0, 2 * np.pi, columns, endpoint=opening > 0)
    if opening > 0:  # from one edge of the open front round the back to the other
        angles = np.linspace(opening / 0.16, 2 * np.pi - opening / 0.16, columns)
    wide, front, back, risen = _trunk(rest.template, shaped, heights)
    level = heights + risen
    wide[1:] = np.maximum(wide[1:], np.maximum.accumulate(wide)[:-1] * 0.98)
    front, back = np.maximum.accumulate(front), np.minimum.accumulate(back)
    down = waist - heights
    grow = gap + flare * down
    wave = (0.006 + 0.05 * flare * down)[:, None] * np.sin(angles * (5 + look.seed % 6) + look.seed % 7)
    depth = (front - back) / 2 + grow
    x = (wide + grow + 0.004)[:, None] * np.sin(angles) + wave * np.sin(angles)
    z = ((front + back) / 2)[:, None] + depth[:, None] * np.cos(angles) + wave * np.cos(angles)
    points = np.stack([x, np.broadcast_to(level[:, None], x.shape), z], -1).reshape(-1, 3)
    left = _eased((x / 0.12 + 1) / 2).ravel()
    hip = np.repeat(_eased(down / 0.3) * 0.85, columns)
    knee = hip * np.repeat(_eased((-0.52 - heights) / 0.3) * 0.8, columns)
    weights = np.stack(
        [1 - hip, left * (hip - knee), (1 - left) * (hip - knee), left * knee, (1 - left) * knee], 1
    )
    joints = np.broadcast_to(np.array([0, 1, 2, 4, 5], np.int32), weights.shape)
    return _sheet(points, _grid(rows, columns, opening == 0), joints, weights, slot)


def _trunk(template: Array, shaped: Array, heights: Array) -> tuple[Array, ...]:
    """Measures a trunk at heights (R,) of rest: half its width, its front and its back, and how much it rose.

    What is wider than arms let it be, or above the waist, is no trunk.
    """
    trunk = (np.abs(template[:, 0]) < 0.3) & (template[:, 1] < 0.1)
    near, rest = shaped[trunk], template[trunk]
    ring = np.abs(rest[:, 1] - heights[:, None]) < 0.03
    wide = np.where(ring, np.abs(near[:, 0]), 0).max(1)
    front, back = np.where(ring, near[:, 2], -np.inf).max(1), np.where(ring, near[:, 2], np.inf).min(1)
    risen = np.where(ring, near[:, 1] - rest[:, 1], 0).sum(1) / np.maximum(ring.sum(1), 1)
    return wide, front, back, risen


def _long_hair(look: Look, head: Array, slot: int) -> Sheet:
    """A curtain round the back and the sides of the head, down to the shoulders or the back."""
    rows, columns = 13, 30
    heights = np.concatenate(
        [0.525 - 0.085 * np.linspace(0.1, 1, 5) ** 2, np.linspace(0.42, look.hair_length, rows - 5)]
    )
    heights = heights[:, None]
    angles = np.linspace(0.36 * np.pi, 1.64 * np.pi, columns)
    fall = np.clip((0.40 - heights) / 0.2, 0, 1)
    wave = 0.006 * np.sin(angles * 11 + look.seed % 7) * (0.5 + fall)
    crown = np.sqrt(np.clip(1 - np.square((heights - 0.44) / 0.09), 0.02, 1)) ** (
        heights > 0.44
    )  # closes above
    radius = look.hair_volume
    x = crown * (0.088 + radius * 0.6 + 0.02 * fall + wave) * np.sin(angles)
    behind = 0.098 + radius * 0.5 + 0.03 * fall
    z = 0.105 + crown * np.where(np.cos(angles) < 0, behind, 0.09) * np.cos(angles)
    points = np.stack([x, np.broadcast_to(heights, x.shape), z], -1).reshape(-1, 3) + head
    low = np.repeat(_eased((0.30 - heights[:, 0]) / 0.2), columns)
    weights = np.stack([1 - low, low], 1)
    joints = np.broadcast_to(np.array([15, 9], np.int32), weights.shape)
    return _sheet(points, _grid(rows, columns, False), joints, weights, slot)


def _eased(t: Array) -> Array:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _sheet(points: Array, faces: Array, joints: Array, weights: Array, slot: int) -> Sheet:
    return Sheet(
        np.ascontiguousarray(points, np.float32), faces, np.ascontiguousarray(joints, np.int32),
        np.ascontiguousarray(weights, np.float32), slot,
    )  # fmt: skip
