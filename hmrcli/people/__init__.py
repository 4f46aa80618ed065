"""Finds people in photos and their 33 body landmarks."""

from hmrcli.people.detect import detect_people as detect_people
from hmrcli.people.landmarks import Landmarks as Landmarks
from hmrcli.people.landmarks import body_landmarks as body_landmarks
from hmrcli.people.movenet import Detection as Detection
from hmrcli.people.skeleton import KEYPOINTS as KEYPOINTS
from hmrcli.people.skeleton import LANDMARK_EDGES as LANDMARK_EDGES
from hmrcli.people.skeleton import LANDMARK_INDEX as LANDMARK_INDEX
from hmrcli.people.skeleton import LANDMARKS as LANDMARKS
