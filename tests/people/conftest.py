import cv2
import numpy as np
import pytest

from hmrcli.assets.bundled import bundled
from hmrcli.people import Detection, Landmarks, body_landmarks, detect_people


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A woman walking to the left in a park; a man on a roof behind her."""
    return np.ascontiguousarray(cv2.imread(str(bundled("photos/walk.jpg")))[:, :, ::-1])


@pytest.fixture(scope="session")
def detections(photo) -> list[Detection]:
    return detect_people(photo)


@pytest.fixture(scope="session")
def found(photo, detections) -> Landmarks:
    return body_landmarks(photo, detections)
