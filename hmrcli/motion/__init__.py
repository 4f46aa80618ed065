"""People over time: what was seen of one person in each frame, and the motion that was recovered from it."""

from hmrcli.camera import Camera
from hmrcli.motion.motion import Motion, Track, by_frame

__all__ = ["Camera", "Motion", "Track", "by_frame"]
