"""From a photo to people: reading images, finding people, recovering and placing their bodies.

What needs torch is imported when it is asked for, so that inputs can be judged before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmrcli.inference.person import Person
    from hmrcli.inference.predictor import Predictor

__all__ = ["Person", "Predictor"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{name.lower()}"), name)
