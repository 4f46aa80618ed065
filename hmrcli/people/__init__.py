"""Finds people in photos and their 33 body landmarks."""

from hmrcli.people.detect import detect_people
from hmrcli.people.landmarks import Landmarks, body_landmarks
from hmrcli.people.movenet import Detection
from hmrcli.people.skeleton import KEYPOINTS, LANDMARK_EDGES, LANDMARK_INDEX, LANDMARKS

__all__ = [
    "KEYPOINTS",
    "LANDMARKS",
    "LANDMARK_EDGES",
    "LANDMARK_INDEX",
    "Detection",
    "Landmarks",
    "body_landmarks",
    "detect_people",
]
