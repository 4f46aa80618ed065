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


@pytest.fixture(scope="session")
def overlapping(photo, found) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The woman twice, one 110 pixels before the other, and where their noses are."""
    mask = found.image_mask(0, *photo.shape[:2])[..., None]
    shifted, shifted_mask = (np.roll(values, 110, 1) for values in (photo, mask))
    image = (photo * (1 - shifted_mask) + shifted * shifted_mask).astype(np.uint8)[400:, 700:1400]
    nose = found.points2d[0, 0] - [700, 400]
    return np.ascontiguousarray(image), nose, nose + [110, 0]
