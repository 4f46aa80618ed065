"""Ways from landmarks to bodies that benchmarks compare: add yours to `METHODS`."""

from collections.abc import Callable
from typing import NamedTuple

from infer import LIMBS
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.fitting.fit import Fit, fit_landmarks
from hmrcli.fitting.landmarks import attachments
from hmrcli.fitting.lifting import lift
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.fitting.targets import Targets
from hmrcli.people import Landmarks

Bodies = Callable[[BodyModel, Landmarks, Targets], Fit]


class Method(NamedTuple):
    """A way from landmarks to bodies; none for the landmark network's own points."""

    bodies: Bodies | None
    learned_from: tuple[str, ...]
    """Packages whose footage any part of it was trained or tuned on."""


def fitted(lifted: bool) -> Bodies:
    """Returns the fit to the landmark network's depth, drawn to the usual pose, or to what the lifter makes of both."""

    def bodies(body: BodyModel, found: Landmarks, targets: Targets) -> Fit:
        return fit_landmarks(body, lift(targets) if lifted else targets)

    return bodies


# Which lifter was kept, and what it was told of the network's errors, was chosen by the four cameras; how far it is
# believed, by the real frames.
FOOTAGE = ("pose2sim", "sports2d")
Methods = dict[str, Method]
METHODS: Methods = {
    "landmarks": Method(None, ()),
    "fit": Method(fitted(True), FOOTAGE),
    "fit, not lifted": Method(fitted(False), ()),
}
DEFAULT = "fit"
"""What `hmr infer` does today, to which the others are compared."""
DAGGER = "†"
"""Marks scores on footage that a method learned from."""


def limbs_of(body: BodyModel, fit: Fit) -> Tensor:
    """Returns the places of the limb landmarks on bodies, (N, 12, 3) float64."""
    state = BodyState(fit.rotmat.double(), fit.betas.double(), fit.transl.double())
    return pose_points(body_points(body, attachments()), state).points[:, LIMBS]
