"""Calibration files: OpenCV's storage (yml, xml, json), COLMAP's cameras.txt, and toml of Pose2Sim and anipose.

Principal points stand in the outputs as they stand in the file: OpenCV counts pixels from the middle of the first,
COLMAP and this program from its corner, and half a pixel is below what landmarks tell.
"""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hmrcli.camera.calibration import Calibration
from hmrcli.camera.distortion import COUNTS
from hmrcli.errors import BadInput, MissingFile, UsageError
from hmrcli.files import damage, did_you_mean, open_file

_LARGEST = 1 << 22
_EXPECTED = (
    "expected OpenCV's storage (.yml, .xml, .json) with camera_matrix and distortion_coefficients, "
    "COLMAP's cameras.txt, or toml of Pose2Sim or anipose"
)
_COLMAP = {
    "SIMPLE_PINHOLE": "f cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "f cx cy k1",
    "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
    "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
}
"""Parameters of COLMAP's models, which distort as OpenCV does."""
_MATRIX = re.compile(r"(?:camera_?matrix|intrinsics?(?:_matrix)?|mtx)_?(\w*)|[km](?:_(\w+)|(\d*))", re.I)
_DISTORTION = re.compile(
    r"(?:distortion_?coeff\w*?s?|dist_?coeffs?|dist|distortions?|d)(?:_(\w+)|(\d*))", re.I
)
_SIZES = ("size", "image_size", "imagesize", "img_size", "resolution")


def read_calibration(given: str) -> Calibration:
    """Reads one camera of a calibration file: `FILE`, or `FILE:NAME` where it holds several.

    Raises:
        MissingFile: there is no such file.
        UsageError: the file holds several cameras and none or an unknown one is named.
        BadInput: the file holds no camera, or one that is not understood.
    """
    path, wanted = Path(given), ""
    if not path.is_file() and ":" in given:
        before, _, after = given.rpartition(":")
        path, wanted = (Path(before), after) if Path(before).is_file() else (path, "")
    if not path.exists():
        raise MissingFile(f"--calib: {path}: no such file{did_you_mean(path)}")
    entries = _read_entries(path)
    names = ", ".join(sorted(entries))
    if wanted and wanted not in entries:
        raise UsageError(f"--calib: {path} holds no camera {wanted}, but {names}")
    if not wanted and len(entries) > 1:
        raise UsageError(f"--calib: {path} holds several cameras; say which: --calib {path}:NAME, of {names}")
    return entries[wanted or next(iter(entries))]


def _read_entries(path: Path) -> dict[str, Calibration]:
    """Reads the cameras of a file, at least one, by name."""
    with open_file(path) as stream:
        content = stream.read(_LARGEST + 1)
    with damage(f"{path}: is no calibration file ({{}}); {_EXPECTED}"):
        if len(content) > _LARGEST:
            raise ValueError("larger than 4 MB")
        text = content.decode("utf-8-sig")
        if path.suffix.lower() == ".toml":
            found = _toml(tomllib.loads(text), path)
        elif path.suffix.lower() == ".txt":
            found = _colmap(text, path)
        else:
            found = _opencv(_storage(text), path)
        entries = {one.name: one for one in found}
    if not entries:
        raise BadInput(f"{path}: holds no camera; {_EXPECTED}")
    return entries


def _toml(document: Mapping[str, Any], path: Path) -> Iterator[Calibration]:
    for section, values in document.items():
        if isinstance(values, Mapping) and "matrix" in values:
            name = str(values.get("name", section))
            _refuse_fisheye(values, path, name)
            matrix, size = _flat(values["matrix"]), _flat(values.get("size", []))
            yield _entry(path, name, matrix, _flat(values.get("distortions", [])), size)


def _colmap(text: str, path: Path) -> Iterator[Calibration]:
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        name, model, *numbers = words
        if model not in _COLMAP:
            known = ", ".join(_COLMAP)
            raise BadInput(f"{path}: camera {name} has model {model[:40]}, expected one of {known}")
        width, height, *values = map(float, numbers)
        named = dict(zip(_COLMAP[model].split(), values, strict=True))
        focal = named.get("f", 0.0)
        matrix = [named.get("fx", focal), 0, named["cx"], 0, named.get("fy", focal), named["cy"], 0, 0, 1]
        order = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")[: 8 if "k6" in named else 4]
        yield _entry(path, name, matrix, [named.get(k, 0.0) for k in order], [width, height])


def _storage(text: str) -> dict[str, Any]:
    """Reads OpenCV's storage as numbers, texts, lists and dictionaries; a matrix is the list of its numbers."""
    import cv2

    _check_depth(text)

    def plain(node: Any) -> Any:
        if node.isMap():
            if {"rows", "cols", "data"} <= set(node.keys()):
                return plain(node.getNode("data"))
            return {key: plain(node.getNode(key)) for key in node.keys()}  # noqa: SIM118 (no dictionary)
        if node.isSeq():
            return [plain(node.at(i)) for i in range(node.size())]
        if node.isString():
            return node.string()
        return node.real()

    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        document = plain(storage.root())
    except (SystemError, cv2.error) as error:
        cause = error.__cause__ or error
        raise ValueError(str(getattr(cause, "err", "") or "not OpenCV's format")) from None
    if not isinstance(document, dict):
        raise ValueError("no names in it")
    return document


def _check_depth(text: str) -> None:
    """Refuses text so deeply nested that OpenCV's reader, which calls itself for each level, would crash."""
    depth = 0
    for mark in re.finditer(r"[\[{\]}]|<\w|</|/>|^[ ]*(?:- *){64}", text, re.M):
        depth += -1 if mark[0] in ("]", "}", "</", "/>") else 64 if "-" in mark[0] else 1
        if depth >= 64:
            raise ValueError("nested more than 64 levels deep")


def _opencv(document: Mapping[str, Any], path: Path, inside: str = "") -> Iterator[Calibration]:
    sizes = {key.lower(): value for key, value in document.items()}
    size = [sizes.get(f"image_{side}", sizes.get(side, 0.0)) for side in ("width", "height")]
    size = next((_flat(sizes[key]) for key in _SIZES if key in sizes), size if all(size) else [])
    distortions = {
        _name(match): _flat(value)
        for key, value in document.items()
        if (match := _DISTORTION.fullmatch(key)) and isinstance(value, list)
    }
    for key, value in document.items():
        match = _MATRIX.fullmatch(key)
        if match and isinstance(value, list) and len(_flat(value)) == 9:
            name = _name(match) or inside or "0"
            _refuse_fisheye(document, path, name)
            yield _entry(path, name, _flat(value), distortions.get(_name(match), []), size)
        elif isinstance(value, dict) and not inside:
            yield from _opencv(value, path, key)


def _name(match: re.Match[str]) -> str:
    return next((group for group in match.groups() if group), "")


def _flat(value: Any) -> list[float]:
    """Returns the numbers of nested lists, in order."""
    if isinstance(value, list):
        return [number for part in value for number in _flat(part)]
    return [float(value)]


def _refuse_fisheye(values: Mapping[str, Any], path: Path, name: str) -> None:
    model = str(values.get("distortion_model", ""))
    known = model.lower() in ("equidistant", "fisheye", "kannala_brandt")
    if known or values.get("fisheye") or values.get("fisheye_model"):
        raise BadInput(
            f"{path}: camera {name} is a fisheye, which is not modelled; undistort its pictures first "
            "(cv2.fisheye.undistortImage) and give the new matrix"
        )


def _entry(
    path: Path, name: str, matrix: list[float], distortion: list[float], size: list[float]
) -> Calibration:
    """Checks the numbers of one camera.

    Raises:
        BadInput: one is not what it should be.
    """
    where = f"{path}: camera {name}"
    if len(matrix) != 9 or not all(map(math.isfinite, matrix)) or min(matrix[0], matrix[4]) <= 0:
        raise BadInput(f"{where}: matrix is not 3 x 3 numbers with focal lengths above 0")
    if abs(matrix[1]) > 1e-3 * matrix[0] or matrix[8] != 1 or any((matrix[3], matrix[6], matrix[7])):
        raise BadInput(f"{where}: matrix is not fx 0 cx, 0 fy cy, 0 0 1; skewed pixels are not modelled")
    while distortion and distortion[-1] == 0:
        distortion = distortion[:-1]
    count = next((count for count in COUNTS if count >= len(distortion)), None)
    if count is None or not all(map(math.isfinite, distortion)):
        raise BadInput(
            f"{where}: distortion is not up to {COUNTS[-1]} numbers, in OpenCV's order k1, k2, p1, p2, k3"
        )
    if size and (len(size) != 2 or not all(0 < side < 1e6 and side == int(side) for side in size)):
        raise BadInput(f"{where}: size is not a width and a height in pixels")
    padded = (*distortion, *[0.0] * (count - len(distortion)))
    sides = (int(size[0]), int(size[1])) if size else None
    return Calibration(path, name, (matrix[0], matrix[4]), (matrix[2], matrix[5]), sides, padded)
