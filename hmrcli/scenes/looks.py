"""Looks of people as numbers: their clothes, skin and hair.

Lengths are metres on the mean body in T-pose (x to its left, y up from the chest, z forward): its crown lies
at y = 0.52, its shoulders at 0.21, its waist at -0.05, its crotch at -0.33, its knees at -0.66, its soles at
-1.17; its elbows lie at |x| = 0.44 and its wrists at 0.67. Colours are sRGB in [0, 1].
"""

from colorsys import hsv_to_rgb
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

RGB = tuple[float, float, float]

PATTERNS = ("plain", "stripes", "checks", "dots", "flowers", "camouflage", "denim")
"""Of cloth, by the number that the shader knows them by."""

HAIR_STYLES = ("bald", "short", "long")
BOTTOMS = ("trousers", "shorts", "skirt", "dress")

NOWHERE = -9.0
"""A height below the soles: a hem there hides nothing, a neckline there cuts nothing."""


@dataclass(frozen=True)
class Cloth:
    """Material of a garment."""

    colours: tuple[RGB, RGB, RGB]
    pattern: str = "plain"
    scale: float = 0.05
    """Period of the pattern."""
    fold: float = 0.3
    """Strength of folds, as the tilt of the surface."""
    weave: float = 0.05
    """Unevenness of the colour."""
    gloss: float = 0.05


@dataclass(frozen=True)
class Top:
    """A garment on the upper body."""

    cloth: Cloth
    sleeve: float
    """Distance of the cuffs from the middle of the body."""
    hem: float
    loose: float
    """Distance from the skin."""
    neck: float = 0.085
    """Radius of the neckline."""
    depth: float = NOWHERE
    """Height of the lowest point of a V in front."""
    opening: float = 0.0
    """Half the width of the open front of a jacket."""


@dataclass(frozen=True)
class Look:
    """A person's looks."""

    skin: RGB
    hair: RGB
    hair_style: str
    hair_length: float
    """Height of the lower end of long hair."""
    hair_volume: float
    """Thickness of hair on the head."""
    top: Top | None
    outer: Top | None
    bottom: str
    bottom_cloth: Cloth
    bottom_hem: float
    bottom_loose: float
    waist: float
    flare: float
    """Growth of a skirt's radius per metre down."""
    shoes: Cloth | None
    shoe_top: float
    seed: int


def draw_look(random: Generator, betas: ArrayLike) -> Look:
    """Draws somebody's looks.

    Args:
        random: source of all choices.
        betas: (10,) shape; the second says most about breadth of shoulders against hips, and so shifts odds.
    """
    shape = np.asarray(betas, np.float64)
    feminine = random.random() < 1 / (1 + np.exp(-1.2 * shape[1]))
    shares = (0.02, 0.35, 0.63) if feminine else (0.13, 0.8, 0.07)
    style = str(random.choice(HAIR_STYLES, p=shares))
    thick = random.uniform(0.006, 0.03) if style in ("short", "bald") else random.uniform(0.01, 0.022)
    return Look(
        skin=_skin(random),
        hair=_hair(random, random.uniform(18, 80)),
        hair_style=style,
        hair_length=float(random.uniform(-0.02, 0.3)),
        hair_volume=float(thick),
        seed=int(random.integers(2**31)),
        **_outfit(random, feminine),
    )


def _outfit(random: Generator, feminine: bool) -> dict[str, Any]:
    shares = (0.62, 0.14, 0.12, 0.12) if feminine else (0.76, 0.23, 0.005, 0.005)
    bottom = str(random.choice(BOTTOMS, p=shares))
    waist = float(random.uniform(-0.13, -0.06))
    hem = {
        "trousers": random.choice([-1.12, -1.08, -0.98, -0.85], p=[0.4, 0.4, 0.1, 0.1]),
        "shorts": random.uniform(-0.7, -0.45),
    }.get(bottom, random.uniform(-1.02, -0.5))
    tight = random.random() < (0.4 if feminine else 0.12)
    cloth = _trouser_cloth(random) if bottom in ("trousers", "shorts") else _cloth(random, 0.35)
    top = _top(random, feminine, waist, _cloth(random, 0.3))
    if bottom == "dress":
        top = Top(cloth, top.sleeve, -0.14, min(top.loose, 0.008), top.neck, top.depth)
    elif bottom == "shorts" and random.random() < 0.06:
        top = Top(cloth, 0.0, 0.5, 0.0)  # nothing: an empty garment
    outer = None
    if random.random() < 0.22 and top.hem < 0.4:
        outer = Top(
            _cloth(random, 0.2, dark=True),
            sleeve=float(random.uniform(0.62, 0.67)),
            hem=float(random.uniform(-0.33, -0.18)),
            loose=float(random.uniform(0.014, 0.028)),
            neck=float(random.uniform(0.075, 0.1)),
            depth=float(random.uniform(-0.1, 0.15)),
            opening=float(random.choice([0.0, 0.012, random.uniform(0.03, 0.08)])),
        )
    return {
        "top": top if top.hem < 0.4 else None,
        "outer": outer,
        "bottom": bottom,
        "bottom_cloth": cloth,
        "bottom_hem": float(hem),
        "bottom_loose": float(random.uniform(0.002, 0.005) if tight else random.uniform(0.008, 0.03)),
        "waist": waist,
        "flare": float(random.uniform(0.0, 0.35)),
        "shoes": None if random.random() < 0.08 else _shoe(random),
        "shoe_top": float(
            random.uniform(-0.98, -0.85) if random.random() < 0.15 else random.uniform(-1.11, -1.07)
        ),
    }


def _top(random: Generator, feminine: bool, waist: float, cloth: Cloth) -> Top:
    length = random.random()
    sleeve = (
        random.uniform(0.135, 0.19) if length < (0.25 if feminine else 0.1)
        else random.uniform(0.27, 0.4) if length < 0.6
        else random.uniform(0.45, 0.6) if length < 0.68
        else random.uniform(0.63, 0.68)
    )  # fmt: skip
    kind = random.random()
    tucked, cropped = kind < 0.25, feminine and kind > 0.9
    hem = waist - 0.01 if tucked else random.uniform(-0.02, 0.06) if cropped else random.uniform(-0.33, -0.18)
    return Top(
        cloth=cloth,
        sleeve=float(sleeve),
        hem=float(hem),
        loose=float(random.uniform(0.002, 0.008) if random.random() < 0.4 else random.uniform(0.008, 0.024)),
        neck=float(random.choice([0.0, 0.08, 0.09, random.uniform(0.09, 0.13)], p=[0.08, 0.5, 0.22, 0.2])),
        depth=float(random.uniform(0.08, 0.2)) if random.random() < 0.25 else NOWHERE,
    )


def _cloth(random: Generator, patterned: float, dark: bool = False) -> Cloth:
    shares = (0, 3, 2, 1.5, 2, 0.7, 0.4)
    fancy = random.random() < max(patterned, 0.0) * 1.6
    pattern = str(random.choice(PATTERNS, p=np.array(shares) / sum(shares))) if fancy else "plain"
    red, green, blue = (value * (0.6 if dark else 1.0) for value in _colour(random))
    second = _grey(random, 0.0, 1.0) if random.random() < 0.5 else _colour(random)
    scale = {"dots": 0.04, "denim": 0.03, "checks": 0.06}.get(pattern, 0.07)
    return Cloth(
        colours=((red, green, blue), second, _colour(random)),
        pattern=pattern,
        scale=float(scale * random.uniform(0.6, 1.7)),
        fold=float(random.uniform(0.15, 0.6)),
        weave=float(random.uniform(0.02, 0.12)),
        gloss=float(random.choice([0.02, 0.06, 0.2], p=[0.6, 0.3, 0.1])),
    )


def _trouser_cloth(random: Generator) -> Cloth:
    if random.random() < 0.4:  # jeans
        value = random.uniform(0.15, 0.6)
        blue = hsv_to_rgb(random.uniform(0.57, 0.64), random.uniform(0.3, 0.65), value)
        pale = hsv_to_rgb(0.59, 0.25, min(1.0, value + 0.25))
        return Cloth((blue, pale, pale), "denim", 0.03, float(random.uniform(0.25, 0.55)), 0.12, 0.02)
    cloth = _cloth(random, 0.1, dark=bool(random.random() < 0.5))
    if random.random() < 0.55:
        tone = hsv_to_rgb(random.uniform(0.05, 0.13), random.uniform(0.05, 0.4), random.uniform(0.08, 0.7))
        cloth = replace(cloth, colours=(tone, *cloth.colours[1:]))
    return cloth


def _shoe(random: Generator) -> Cloth:
    colour = _grey(random, 0.02, 0.95) if random.random() < 0.6 else _colour(random)
    if random.random() < 0.3:
        colour = hsv_to_rgb(random.uniform(0.04, 0.09), random.uniform(0.3, 0.7), random.uniform(0.15, 0.5))
    return Cloth((colour,) * 3, fold=0.15, gloss=float(random.uniform(0.02, 0.3)))


def _colour(random: Generator) -> RGB:
    """Draws one of cloth: a third are greys, black and white; the others rarely glaring."""
    if random.random() < 0.33:
        return _grey(random, 0.03, 0.97)
    return hsv_to_rgb(random.random(), random.uniform(0.15, 0.9), random.uniform(0.12, 0.97))


def _grey(random: Generator, low: float, high: float) -> RGB:
    value, tint = random.uniform(low, high), random.uniform(-0.03, 0.03)
    return _clip((value + tint, value, value - tint))


def _skin(random: Generator) -> RGB:
    """Draws from very light to very dark along the line that melanin draws, with blood and tan around it."""
    tones = np.array(
        [(0.95, 0.80, 0.72), (0.88, 0.69, 0.58), (0.78, 0.58, 0.45)]
        + [(0.62, 0.42, 0.31), (0.45, 0.29, 0.21), (0.28, 0.18, 0.14)]
    )
    place = random.beta(1.1, 1.4) * (len(tones) - 1.001)
    step = int(place)
    tone = tones[step] + (place - step) * (tones[step + 1] - tones[step]) + random.normal(0, 0.015, 3)
    return _clip(tuple(tone.tolist()))


def _hair(random: Generator, age: float) -> RGB:
    tones = np.array(
        [(0.05, 0.04, 0.04), (0.16, 0.10, 0.07), (0.32, 0.20, 0.12), (0.62, 0.46, 0.28), (0.48, 0.19, 0.09)]
    )
    tone = tones[random.choice(5, p=(0.4, 0.28, 0.16, 0.11, 0.05))] * random.uniform(0.7, 1.3)
    if random.random() < 0.04:
        tone = np.array(hsv_to_rgb(random.random(), 0.7, 0.7))
    white = np.clip((age - random.uniform(38, 65)) / 20, 0, 1)
    return _clip(tuple((tone + white * (random.uniform(0.55, 0.85) - tone)).tolist()))


def _clip(colour: tuple[float, ...]) -> RGB:
    red, green, blue = (min(max(value, 0.02), 0.98) for value in colour)
    return red, green, blue
