"""Small videos of the bundled photo, moved about, in all the ways that cameras write them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from hmrcli.assets.bundled import bundled

SIZE = (640, 360)


def moving(count: int, step: float = 5.0, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Gives views of the photo, of two people, each a step of pixels further right in it."""
    photo = cv2.imread(str(bundled("photos/walk.jpg")))[..., ::-1]
    scale = 0.36 * size[0] / SIZE[0]
    return [
        cv2.warpAffine(photo, np.float32([[scale, 0, -step * k], [0, scale, 0]]), size) for k in range(count)
    ]


def beside_a_child(count: int) -> list[np.ndarray]:
    """Gives views of the woman of the photo and of a copy of 60 % whose feet are on the same line of the picture."""
    photo = cv2.imread(str(bundled("photos/walk.jpg")))[..., ::-1].copy()
    left, top, right, feet = 900, 510, 1160, 936
    small = cv2.resize(photo[top:feet, left:right], None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    photo[feet - len(small) : feet, 1230 : 1230 + small.shape[1]] = small
    return [
        cv2.warpAffine(photo, np.float32([[0.6, 0, -300 - 4 * k], [0, 0.6, -230]]), SIZE)
        for k in range(count)
    ]


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    times: Sequence[float] | None = None,
    *,
    pixels: str = "yuv420p",
    turned: int = 0,
    codec: str = "libx264",
    shape: Fraction | None = None,
    sound: bool = False,
) -> Path:
    """Writes frames (H, W, 3) RGB at their times, 25 a second without; `turned` degrees by the display matrix."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if codec == "libx264":
            stream.options = {"crf": "12", "preset": "ultrafast"}
        stream.codec_context.time_base = Fraction(1, 1000)
        if shape:
            stream.codec_context.sample_aspect_ratio = shape
        if turned:
            stream.set_display_rotation(turned)
        for k, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = round(1000 * (times[k] if times else k / 25)), Fraction(1, 1000)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_sound(path: Path) -> Path:
    """Writes half a second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return path
