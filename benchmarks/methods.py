"""Ways from landmarks to bodies that benchmarks compare: add yours to `METHODS`."""

from collections.abc import Callable
from typing import NamedTuple

from infer import LIMBS
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.fitting.fit import ITERATIONS, Fit, fit_landmarks
from hmrcli.fitting.landmarks import attachments
from hmrcli.fitting.points import BodyState, body_points, pose_points
from hmrcli.fitting.regressor import regress
from hmrcli.fitting.targets import Targets
from hmrcli.people import Landmarks

Bodies = Callable[[BodyModel, Landmarks, Targets], Fit]


class Method(NamedTuple):
    """A way from landmarks to bodies; none for the landmark network's own points."""

    bodies: Bodies | None
    learned_from: tuple[str, ...]
    """Packages whose footage any part of it was trained or tuned on."""


def fitted(regressor: bool, iterations: int = ITERATIONS) -> Bodies:
    """Returns the fit from its own start or the regressor's; with no iterations, that start."""

    def bodies(body: BodyModel, found: Landmarks, targets: Targets) -> Fit:
        start = regress(found, targets) if regressor else None
        return fit_landmarks(body, targets, iterations=iterations, start=start)

    return bodies


# The pose prior is blended with fits to this footage, the regressor is trained on 108 people of it and on pictures some
# of whose poses (12 of the bank) are from it, and the strengths of the fit from it were chosen by the four cameras.
FOOTAGE = ("pose2sim", "sports2d")
Methods = dict[str, Method]
METHODS: Methods = {
    "landmarks": Method(None, ()),
    "fit": Method(fitted(False), FOOTAGE),
    "regressor": Method(fitted(True, 0), FOOTAGE),
    "fit from regressor": Method(fitted(True), FOOTAGE),
}
DEFAULT = "fit"
"""What `hmr infer` does today, to which the others are compared."""
DAGGER = "†"
"""Marks scores on footage that a method learned from."""


def limbs_of(body: BodyModel, fit: Fit) -> Tensor:
    """Returns the places of the limb landmarks on bodies, (N, 12, 3) float64."""
    state = BodyState(fit.rotmat.double(), fit.betas.double(), fit.transl.double())
    return pose_points(body_points(body, attachments()), state).points[:, LIMBS]
