"""Videos written: H.264 in mp4, which browsers and players show."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrcli.files import whole_file

Image = NDArray[np.uint8]
_TICKS = 90_000
"""Times in a second, which all usual frame rates are told in."""
_AHEAD = 3
"""Frames that may wait to be encoded."""
_QUALITY = {"crf": "20", "preset": "veryfast"}


@contextmanager
def movie(path: Path, fps: float) -> Iterator[Callable[[Image, float], None]]:
    """Writes a video of frames that come one by one; the file is whole or absent.

    The function that is yielded takes a frame, (H, W, 3) uint8 RGB, all of one size, and its time in seconds,
    ascending. Odd sizes are cut to even ones, which the format needs; `fps` are the usual frames a second.
    """
    import av

    with (
        whole_file(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container,
        ThreadPoolExecutor(1) as beside,  # the next frame is drawn while one is encoded
    ):
        stream: Any = None
        last = -1
        waiting: deque[Future[None]] = deque()

        def encode(frame: Any) -> None:
            for packet in stream.encode(frame):
                container.mux(packet)

        def add(pixels: Image, time: float) -> None:
            nonlocal stream, last
            height, width = (length - length % 2 for length in pixels.shape[:2])
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.options = dict(_QUALITY)
                stream.codec_context.time_base = Fraction(1, _TICKS)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
            last = max(round(time * _TICKS), last + 1)
            frame.pts, frame.time_base = last, Fraction(1, _TICKS)
            waiting.append(beside.submit(encode, frame))
            while len(waiting) > _AHEAD:
                waiting.popleft().result()

        yield add
        for one in waiting:
            one.result()
        if stream is not None:
            encode(None)
