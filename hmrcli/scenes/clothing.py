"""From looks to what kernels take: numbers of garments, and meshes of skirts, long hair and bags."""

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
    """(10, 15) float32, colours in linear light."""


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
    """A lattice (16, 16, 16, 4), flat, of float32 in [-1, 1]; the same on every machine: hashes of the places."""
    h = np.arange(LATTICE**3 * 4, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift in (30, 27):
        h = (h ^ (h >> np.uint64(shift))) * np.uint64(0xBF58476D1CE4E5B9)
    return (h >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - 1


def wear(look: Look) -> Wear:
    """The numbers of a look."""
    from hmrcli.scenes import surface_kernels as k

    cuts = np.zeros(k.CUTS, np.float32)
    for first, garment in ((0, look.top), (k.GARMENT, look.outer)):
        if garment is not None:
            cuts[first : first + 6] = _cuts(garment)
    cuts[k.WAIST], cuts[k.BOTTOM_HEM] = look.waist, look.bottom_hem
    skirted = look.bottom in ("skirt", "dress")
    cuts[k.BOTTOM_LOOSE] = 0.003 if skirted else look.bottom_loose
    cuts[k.SHOE_TOP] = NOWHERE if look.shoes is None else look.shoe_top
    cuts[k.SOCK_TOP] = look.sock_top
    cuts[k.HAIRLINE] = look.hairline + (0.04 if look.hair_style == "bald" else 0.0)
    cuts[k.VOLUME] = 0.0 if look.hair_style == "bald" else look.hair_volume
    cuts[k.LONG], cuts[k.BEARD] = look.hair_style == "long", look.beard
    cuts[k.HATTED], cuts[k.GLASSES], cuts[k.SKIRT] = look.hat is not None, look.glasses, skirted

    seed = look.seed % 1000 / 7.0
    lips, iris = (
        _lips(look.skin),
        ((0.25, 0.15, 0.08), (0.3, 0.4, 0.5), (0.25, 0.3, 0.15))[min(2, look.seed % 5 // 2)],
    )
    plain = {
        k.SKIN: Cloth((look.skin, lips, iris), fold=0.0, weave=0.0, gloss=0.10),
        k.SOCKS: Cloth((look.socks,) * 3, fold=0.2),
        k.HAIR: Cloth((look.hair,) * 3, gloss=0.15),
        k.SOLE: Cloth((look.sole,) * 3, fold=0.0),
        k.BOTTOM: look.bottom_cloth,
    }
    optional: dict[int, Cloth | None] = {
        k.TOP: look.top.cloth if look.top else None,
        k.OUTER: look.outer.cloth if look.outer else None,
        k.SHOES: look.shoes,
        k.HAT: look.hat,
        k.BAG: look.bag,
    }
    materials = np.zeros((10, 15), np.float32)
    for slot, cloth in {**plain, **optional}.items():
        if cloth is not None:
            materials[slot, :9] = np.square(np.array(cloth.colours)).ravel()
            materials[slot, 9:] = (
                PATTERNS.index(cloth.pattern), cloth.scale, cloth.fold, cloth.weave, cloth.gloss, seed,
            )  # fmt: skip
    return Wear(cuts, materials)


def _cuts(top: Top) -> tuple[float, ...]:
    return top.neck, top.depth, top.sleeve, top.hem, top.opening, top.loose


def _lips(skin: RGB) -> RGB:
    return min(0.95, skin[0] * 0.92), skin[1] * 0.68, skin[2] * 0.72


def sheets(look: Look, shaped: Array, rest: Rest) -> list[Sheet]:
    """What hangs on a body.

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
    elif look.hair_style in ("ponytail", "bun"):
        length = 0.18 if look.hair_style == "ponytail" else 0.05
        found.append(_blob((0.0, 0.44 - 0.75 * length, 0.014), (0.03, length, 0.03), 15, head, k.HAIR))
    if look.hat is not None and look.brim:
        found.append(_brim(head, k.HAT))
    if look.bag is not None:
        found.append(_blob((0.0, 0.06, -0.06), (0.15, 0.2, 0.075), 9, head * 0, k.BAG, 3.0))
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
    from hmrcli.scenes import mesh_kernels

    rows, columns = 12, 44
    heights = np.linspace(waist, hem, rows)
    angles = np.linspace(0, 2 * np.pi, columns, endpoint=opening > 0)
    if opening > 0:  # from one edge of the open front round the back to the other
        angles = np.linspace(opening / 0.16, 2 * np.pi - opening / 0.16, columns)
    trunk = np.empty((4, rows))
    mesh_kernels.rings(rest.template, shaped, heights, 0.03, trunk.T)
    wide, front, back, risen = trunk
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


def _blob(
    centre: tuple[float, float, float], radii: tuple[float, float, float], joint: int, shift: Array, slot: int,
    square: float = 2.0,
) -> Sheet:  # fmt: skip
    """A superellipsoid that one joint moves."""
    rows, columns = 9, 16
    polar, angles = (
        np.linspace(0.02, np.pi - 0.02, rows)[:, None],
        np.linspace(0, 2 * np.pi, columns, endpoint=False),
    )
    directions = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.sin(angles), np.cos(polar), np.sin(polar) * np.cos(angles)), -1
    )
    directions /= (np.abs(directions) ** square).sum(-1, keepdims=True) ** (1 / square)
    points = (np.array(centre) + directions * radii).reshape(-1, 3) + shift
    return _sheet(
        points, _grid(rows, columns, True), np.full((len(points), 1), joint), np.ones((len(points), 1)), slot
    )


def _brim(head: Array, slot: int) -> Sheet:
    """Of a cap: a bent plate before the forehead."""
    rows, columns = 3, 11
    out, angles = np.linspace(0, 1, rows)[:, None], np.linspace(-1.1, 1.1, columns)
    x = 0.088 * np.sin(angles) * (1 + 0.02 * out)
    z = 0.115 + 0.112 * np.cos(angles) + 0.07 * out * np.cos(0.9 * angles)
    y = 0.455 - 0.02 * out - 0.02 * np.square(angles) * out + 0 * x
    points = np.stack([x, y, z], -1).reshape(-1, 3) + head
    return _sheet(
        points, _grid(rows, columns, False), np.full((len(points), 1), 15), np.ones((len(points), 1)), slot
    )


def _eased(t: Array) -> Array:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _sheet(points: Array, faces: Array, joints: Array, weights: Array, slot: int) -> Sheet:
    return Sheet(
        np.ascontiguousarray(points, np.float32), faces, np.ascontiguousarray(joints, np.int32),
        np.ascontiguousarray(weights, np.float32), slot,
    )  # fmt: skip
