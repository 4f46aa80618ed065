"""Cameras: focal length, principal point and distortion of a picture, and calibration files that hold them."""

from hmrcli.camera.camera import Camera

__all__ = ["Camera"]
