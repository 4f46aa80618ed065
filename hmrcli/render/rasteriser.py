"""A z-buffer on the CPU: no display, no GPU, no system package.

Camera coordinates are x right, y down, z forward, in metres. Image coordinates are continuous: the pixel in
column j and row i covers [j, j + 1) x [i, i + 1) and is sampled at its center (j + 0.5, i + 0.5), so the
middle of an image is (width / 2, height / 2). Several meshes become one by `merge`, and then hide each other
as their depths say.

The loops are compiled on first use: about 3 s once per installation for an overlay, then kept on disk.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEAR = 0.05
"""Nothing closer to the camera than this is drawn, in metres."""

TILE = 256
"""Side of the square of pixels painted at a time: what bounds memory, whatever the size of the photo."""

Array = NDArray[Any]


class Camera(NamedTuple):
    """A pinhole camera: x = focal_length * X / Z + principal_point, in pixels."""

    focal_length: float
    principal_point: tuple[float, float]


class Raster(NamedTuple):
    """View at each sample of a window."""

    depth: Array
    """(h, w) float32 z in metres; infinite where nothing is."""
    face: Array
    """(h, w) int32 index into the faces; -1 where nothing is."""


def merge(meshes: Sequence[Array], faces: Array) -> tuple[Array, Array]:
    """One mesh out of several that share a topology.

    Args:
        meshes: N arrays (V, 3).
        faces: (F, 3) indices.

    Returns:
        (N*V, 3) vertices and (N*F, 3) faces; face k belongs to mesh k // F.
    """
    offsets = np.cumsum([0, *(len(mesh) for mesh in meshes[:-1])])
    return np.concatenate(meshes), np.concatenate([np.asarray(faces) + offset for offset in offsets])


def rasterise(
    vertices: ArrayLike,
    faces: ArrayLike,
    camera: Camera,
    window: tuple[int, int, int, int],
    samples: int = 1,
) -> Raster:
    """Nearest face and depth at each pixel of a window.

    Args:
        vertices: (V, 3) camera coordinates, metres. Faces that reach behind the camera are cut at `NEAR`.
        faces: (F, 3) indices; both sides are drawn.
        camera: the pinhole camera of the whole image.
        window: (left, top, width, height) in pixels of the image, which need not hold it all.
        samples: samples along each side of a pixel; the raster is that many times larger than the window.

    Raises:
        ValueError: shapes are wrong, an index is out of range, or a number is not finite.
    """
    points, triangles = _checked(vertices, faces, camera)
    boxes = face_boxes(points, triangles, camera)
    nearest, face = visible(points, triangles, boxes, camera, window, samples)
    with np.errstate(divide="ignore"):
        return Raster(1 / nearest, face)


def interpolate(
    raster: Raster,
    attributes: ArrayLike,
    vertices: ArrayLike,
    faces: ArrayLike,
    camera: Camera,
    window: tuple[int, int, int, int],
    samples: int = 1,
) -> Array:
    """Perspective-correct vertex attributes (V, C) at each sample of a raster made with the same arguments.

    Returns:
        (h, w, C) float32; 0 where nothing is. Barycentric images come from attributes given per corner.
    """
    from hmrcli.render import kernels

    points, triangles = _checked(vertices, faces, camera)
    values = np.ascontiguousarray(attributes, np.float64)
    if values.ndim != 2 or len(values) != len(points):
        raise ValueError(f"attributes have shape {values.shape}, expected ({len(points)}, C)")
    out = np.zeros((*raster.face.shape, values.shape[1]), np.float32)
    kernels.interpolate(
        points,
        triangles,
        values,
        raster.face,
        *_lens(camera),
        float(window[0]),
        float(window[1]),
        samples,
        out,
    )
    return out


def paint(
    image: Array,
    vertices: ArrayLike,
    faces: ArrayLike,
    colours: ArrayLike,
    camera: Camera,
    opacity: ArrayLike = 1.0,
    samples: int = 2,
) -> None:
    """Draws a coloured, antialiased mesh over an image, in place.

    Only tiles that the mesh touches are visited, and samples exist for one tile at a time.

    Args:
        image: (H, W, 3) uint8 RGB, changed in place.
        vertices: (V, 3) camera coordinates, metres.
        faces: (F, 3) indices.
        colours: (V, 3) in [0, 1], as seen on a screen (sRGB), light included (see `shading.shade`).
        camera: of the whole image.
        opacity: (V,) or one for all, in [0, 1]; 1 hides what is behind.
        samples: along each side of a pixel.

    Raises:
        ValueError: shapes are wrong, an index is out of range, or a number is not finite.
    """
    from hmrcli.render import kernels

    points, triangles = _checked(vertices, faces, camera)
    boxes = face_boxes(points, triangles, camera)
    linear = np.clip(np.ascontiguousarray(colours, np.float64), 0, 1) ** 2
    if linear.shape != points.shape:
        raise ValueError(f"colours have shape {linear.shape}, expected {points.shape}")
    hides = np.ascontiguousarray(np.broadcast_to(np.asarray(opacity, np.float64), len(points)))
    for left, top, width, height in _tiles(boxes, image.shape[1], image.shape[0]):
        inside = (
            (boxes[:, 0] <= left + width)
            & (boxes[:, 2] >= left)
            & (boxes[:, 1] <= top + height)
            & (boxes[:, 3] >= top)
        )
        if not inside.any():
            continue
        near_tile = triangles[inside]
        _, face = visible(points, near_tile, boxes[inside], camera, (left, top, width, height), samples)
        part = image[top : top + height, left : left + width]
        kernels.paint(
            points, linear, hides, near_tile, face, *_lens(camera), float(left), float(top), samples, part
        )


def _checked(vertices: ArrayLike, faces: ArrayLike, camera: Camera) -> tuple[Array, Array]:
    """Arrays in the one layout that kernels are compiled for; these index without checks, so check here."""
    points = np.ascontiguousarray(vertices, np.float64)
    triangles = np.ascontiguousarray(faces, np.int32)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"vertices have shape {points.shape}, expected (V, 3)")
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"faces have shape {triangles.shape}, expected (F, 3)")
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(points):
        raise ValueError(f"faces name vertices outside 0 to {len(points) - 1}")
    if not np.isfinite(points).all():
        raise ValueError("vertices hold numbers that are not finite")
    if not (np.isfinite([camera.focal_length, *camera.principal_point]).all() and camera.focal_length > 0):
        raise ValueError(f"camera {tuple(camera)} has no positive focal length or is not finite")
    return points, triangles


def face_boxes(points: Array, triangles: Array, camera: Camera) -> Array:
    """Finds the pixel box (F, 4) of each face: x0, y0, x1, y1."""
    from hmrcli.render import kernels

    boxes = np.empty((len(triangles), 4))
    kernels.bounds(points, triangles, *_lens(camera), NEAR, boxes)
    return boxes


def visible(
    points: Array,
    triangles: Array,
    boxes: Array,
    camera: Camera,
    window: tuple[int, int, int, int],
    samples: int,
    sides: Array | None = None,
) -> tuple[Array, Array]:
    """Finds 1/z (0 where nothing is) and face index (-1) at each sample of a window.

    Args:
        points: (V, 3) float64 camera coordinates.
        triangles: (F, 3) int32.
        boxes: from `face_boxes`.
        camera: of the whole image.
        window: as in `rasterise`.
        samples: as in `rasterise`.
        sides: (F,) as `kernels.visibility` takes them; by default both sides are drawn.
    """
    from hmrcli.render import kernels

    left, top, width, height = window
    nearest = np.zeros((height * samples, width * samples), np.float32)
    face = np.full(nearest.shape, -1, np.int32)
    sides = np.zeros(len(triangles), np.int8) if sides is None else sides
    kernels.visibility(
        points, np.ones(len(points)), triangles, sides, boxes, *_lens(camera), 1 / NEAR, float(left), float(top),
        samples, nearest, face,
    )  # fmt: skip
    return nearest, face


def height_maps(
    places: Array, triangles: Array, two_sided: Array, shape: tuple[int, int], lowest: bool
) -> list[Array]:
    """Finds the greatest third coordinate of a mesh over the cells of a grid, each at its row and column.

    Args:
        places: (V, 3) float64 column, row and height.
        triangles: (F, 3) int32.
        two_sided: (F,) bool; of closed surfaces only one side can be highest, or lowest.
        shape: of the grid.
        lowest: find the least, too.

    Returns:
        float32; -1e9 where no face is, and 1e9 for the least.
    """
    from hmrcli.render import kernels

    flat, camera, owner = places.copy(), Camera(1.0, (0.5, 0.5)), np.empty(shape, np.int32)
    flat[:, 2] = 1.0
    boxes, found = face_boxes(flat, triangles, camera), []
    for sign in (1, -1) if lowest else (1,):
        values, heights = sign * places[:, 2], np.full(shape, -1e9, np.float32)
        sides = np.where(two_sided, 0, sign)
        kernels.visibility(
            flat, values, triangles, sides, boxes, *_lens(camera), np.inf, 0.0, 0.0, 1, heights, owner
        )
        found.append(sign * heights)
    return found


def _lens(camera: Camera) -> tuple[float, float, float]:
    return float(camera.focal_length), float(camera.principal_point[0]), float(camera.principal_point[1])


def _tiles(boxes: Array, width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Windows (left, top, width, height) that cover the part of the image which the boxes span."""
    if not len(boxes):
        return
    span = [boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max()]
    if not np.isfinite(span).all():  # all of it is behind the camera
        return
    x0, x1 = np.clip([np.floor(span[0]), np.ceil(span[2])], 0, width).astype(int).tolist()
    y0, y1 = np.clip([np.floor(span[1]), np.ceil(span[3])], 0, height).astype(int).tolist()
    for top in range(y0, y1, TILE):
        for left in range(x0, x1, TILE):
            yield left, top, min(TILE, x1 - left), min(TILE, y1 - top)
