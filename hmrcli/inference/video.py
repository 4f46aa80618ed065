"""Clips: videos, series of images and cameras, frame by frame, as a player would show them.

PyAV reads videos: unlike OpenCV it tells each frame's own time, the display matrix of files that phones write, more
than 8 bits, the shape of pixels, and why a file cannot be read.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrcli.camera import Camera
from hmrcli.errors import BadInput
from hmrcli.files import open_file, reason

Image = NDArray[np.uint8]
Progress = Callable[[str, int, int | None], None]
"""Told of a stage (`people`, `motion`, `overlay`), how much of it is done, and of how much, where that is known."""

USUAL_FPS = 30.0
"""Of a video that does not say."""
_FORMATS = "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,mxf,h264,hevc,m4v,gif,dv,ivf,nut,wtv"
"""Containers that are read: none that names other files, as playlists do."""

_AHEAD = 2
"""Frames that may be decoded before they are asked for."""


class Frame(NamedTuple):
    """One picture of a clip."""

    number: int
    """From 0, in the order in which frames are shown."""
    time: float
    """Seconds from the clip's start, ascending."""
    pixels: Image
    """(H, W, 3) RGB."""


@dataclass(frozen=True)
class Clip:
    """A series of frames that can be read again.

    Attributes:
        path: of the video, or of the first image, as the user named it.
        camera: as far as the files tell; `width` and `height` of a frame as shown are its.
        fps: frames a second, on average.
        count: of the frames; None where the file does not say. What is there may be less.
        open: reads frames from the start, the first so many left out, and at most so long a longer side.
    """

    path: Path
    camera: Camera
    fps: float
    count: int | None
    open: Callable[[int, int | None], Iterator[Frame]]

    @property
    def width(self) -> int:
        """Pixels."""
        return self.camera.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.camera.height

    def frames(self, start: int = 0, max_side: int | None = None) -> Iterator[Frame]:
        """Reads the frames from number `start` on, the next ones while one is worked on.

        Args:
            start: number of the first one.
            max_side: frames with a longer side are reduced to it.
        """
        return _ahead(self.open(start, max_side))


def _ahead(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Takes frames from an iterator in a thread of its own, a few ahead."""
    with ThreadPoolExecutor(1) as beside:
        waiting = deque(beside.submit(next, frames, None) for _ in range(_AHEAD))
        while (frame := waiting.popleft().result()) is not None:
            waiting.append(beside.submit(next, frames, None))
            yield frame


def open_video(path: Path, note: Callable[[str], None] = lambda text: None) -> Clip:
    """Opens a video and decodes its first frame.

    Args:
        path: of a video in a container that FFmpeg reads.
        note: is told of frames that are damaged, when they are read.

    Raises:
        MissingFile: there is no such file.
        BadInput: it is empty, damaged, no video, or holds sound alone.
    """
    import av

    with open_file(path) as file:
        if not file.read(1):
            raise BadInput(f"{path}: the file is empty, expected a video")
    try:
        with _opened(path) as (container, stream):
            fps = float(stream.average_rate or stream.guessed_rate or USUAL_FPS)
            duration = container.duration or 0  # microseconds
            count = stream.frames or (round(duration / 1e6 * fps) if duration > 0 else None)
            stretch = float(stream.sample_aspect_ratio or 1) or 1.0
            first = next(_decoded(container, stream, lambda text: None), None)
    except av.error.FFmpegError as error:
        raise BadInput(
            f"{path}: no video that can be read ({reason(error).lower()}); get it again, or convert it first: "
            f"ffmpeg -i {path} {path.stem}_new.mp4"
        ) from None
    if first is None:
        raise BadInput(f"{path}: none of its frames can be decoded; get it again")
    height, width = _shown(first, stretch, None).shape[:2]

    def read(start: int, max_side: int | None) -> Iterator[Frame]:
        with _opened(path) as (container, stream):
            began: float | None = None
            last = -np.inf
            for number, frame in enumerate(_decoded(container, stream, note)):
                time = number / fps if frame.time is None else frame.time
                began = time if began is None else began
                # Files whose times stand still or go back are read on at the usual pace.
                last = time - began if time - began > last else last + 1 / fps
                if number >= start:
                    pixels = _shown(frame, stretch, max_side)
                    # Few files change the size on the way.
                    yield Frame(number, last, pixels if max_side else _resized(pixels, width, height))

    return Clip(path, Camera.by_diagonal(width, height), fps, count, read)


def open_images(paths: Sequence[Path], fps: float, note: Callable[[str], None] = lambda text: None) -> Clip:
    """Takes images, in order, as a clip; one that is damaged is told of and left out.

    Raises:
        BadInput: the first cannot be read, or one of them has another size.
    """
    from PIL import Image as Pillow

    from hmrcli.inference.images import read_picture

    first = read_picture(paths[0])
    height, width = first.pixels.shape[:2]
    for path in paths[1:]:
        with suppress(OSError, ValueError), Pillow.open(path) as picture:
            if picture.size not in ((width, height), (height, width)):
                raise BadInput(
                    f"{path}: is of {picture.width}x{picture.height}, expected {width}x{height} as {paths[0]}: "
                    "frames of one clip have one size"
                )

    def read(start: int, max_side: int | None) -> Iterator[Frame]:
        for number, path in enumerate(paths[start:], start):
            try:
                pixels = read_picture(path).pixels
                if pixels.shape != (height, width, 3):
                    raise BadInput(f"{path}: is of another size than {paths[0]}")
            except BadInput as error:
                note(f"{error}; it is left out")
                continue
            yield Frame(number, number / fps, _resized(pixels, *reduced_size(width, height, max_side)))

    return Clip(paths[0], first.camera, fps, len(paths), read)


def reduced_size(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """Returns width and height of frames whose longer side is at most `max_side`."""
    scale = min(1.0, (max_side or np.inf) / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Opens a container, and gives it and its video stream; nothing but the file itself is read."""
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    with av.open(str(path), options=options) as container:
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic  # the cover of a song
        ]
        if not streams:
            kind = "sound alone" if container.streams.audio else "no moving picture"
            raise BadInput(f"{path}: holds {kind}, expected a video")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def _decoded(container: Any, stream: Any, note: Callable[[str], None]) -> Iterator[Any]:
    """Decodes frames; what is damaged is left out and told of once."""
    import av

    damaged = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            note(f"{container.name}: ends early ({reason(error).lower()})")
            break
        if packet is None:
            break
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            damaged += 1
            continue
        yield from frames
    if damaged:
        note(f"{container.name}: {damaged} of its frames are damaged and left out")


def _shown(frame: Any, stretch: float, max_side: int | None) -> Image:
    """Returns the pixels of a frame as a player shows them: turned by the display matrix, and square ones.

    `stretch` is the width of a pixel as a multiple of its height.
    """
    width, height = reduced_size(round(frame.width * stretch), frame.height, max_side)
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(_turned(pixels, frame))


def _turned(pixels: Image, frame: Any) -> Image:
    """Applies a frame's display matrix: quarter turns and mirrors (those that phones write)."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32)
    if abs(a) + abs(d) < abs(b) + abs(c):  # columns become rows
        pixels = pixels.transpose(1, 0, 2)
        a, d = c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _resized(pixels: Image, width: int, height: int) -> Image:
    import cv2

    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
