"""Writes data/photos/walk.jpg: one frame of the demo video of Sports2D (BSD-3-Clause, perfanalytics).

python data/build/photo.py
"""

import tempfile
from pathlib import Path

import cv2
from packages import member

PHOTO = Path(__file__).resolve().parents[1] / "photos" / "walk.jpg"
FRAME = 100  # the woman is in mid-stride, in front of grass; a man stands on the roof behind her


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "demo.mp4"
        video.write_bytes(member("sports2d", "Sports2D/Demo/demo.mp4"))
        capture = cv2.VideoCapture(str(video))
        for _ in range(FRAME + 1):
            found, frame = capture.read()
            if not found:
                raise ValueError(f"the video ends before frame {FRAME}")
        capture.release()
    PHOTO.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(PHOTO), frame, [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f"{PHOTO.name}: {frame.shape[1]} × {frame.shape[0]}, {PHOTO.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
