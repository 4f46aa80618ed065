"""From a photo to people: reading images, finding people, recovering and placing their bodies."""

from hmrcli.inference.person import Person
from hmrcli.inference.predictor import Predictor

__all__ = ["Person", "Predictor"]
