"""Ways from landmarks to bodies that benchmarks compare: add yours to `METHODS`."""

from collections.abc import Callable
from typing import NamedTuple

from infer import LIMBS
from torch import Tensor

from hmrcli.body import BodyModel
from hmrcli.fitting.fit import ITERATIONS, Fit, fit_landmarks
from hmrcli.fitting.landmarks import attachments
from hmrcli.fitting.lifting import lift
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


def fitted(regressor: bool = False, iterations: int = ITERATIONS, lifted: bool = False) -> Bodies:
    """Returns the fit from its own start or the regressor's; with no iterations, that start.

    Targets come with the landmark network's depth, `lifted` ones with the lifter's.
    """

    def bodies(body: BodyModel, found: Landmarks, targets: Targets) -> Fit:
        start = regress(found, targets) if regressor else None
        return fit_landmarks(body, lift(targets) if lifted else targets, iterations=iterations, start=start)

    return bodies


# The regressor is trained on 108 people of this footage and on pictures some of whose poses (12 of the bank) are from
# it; the strengths of the fit from it, the lifter and how far it is believed were chosen by the four cameras.
FOOTAGE, CAMERAS = ("pose2sim", "sports2d"), ("pose2sim",)
Methods = dict[str, Method]
METHODS: Methods = {
    "landmarks": Method(None, ()),
    "fit": Method(fitted(lifted=True), CAMERAS),
    "fit, not lifted": Method(fitted(), ()),
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
