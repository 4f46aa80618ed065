"""Protocols of evaluation as data: what is scored, of which bodies, under which name.

Nothing here needs torch: recipes name protocols, and their files are looked for before it is loaded.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

PUBLISHED, OPEN = "3dpw", "open"
"""Those of the two benchmarks: of the published figures, and of the one that needs no licensed file."""
JOINT_METRICS = ("mpjpe", "pa_mpjpe", "pck", "pa_pck", "auc", "pa_auc")


class Protocol(NamedTuple):
    """A way to score bodies.

    Joints are regressed from meshes by the body's `h36m_regressor`, with the same matrix on both sides; 14 of
    them are compared, from the pelvis.
    """

    name: str
    """As recipes and commands give it."""
    title: str
    """Of the data and rules."""
    metrics: tuple[str, ...]
    """Names in `hmrcli.evaluation.METRICS`."""
    text: str
    """Shown with every result."""
    bodies: Mapping[str, str]
    """Body file by role. The neutral body makes predictions."""
    roles: Mapping[str, str] = MappingProxyType({})
    """First letter of a gender -> role of the body of the target mesh; without any, the neutral body makes all."""
    targets: Literal["parameters", "joints3d"] = "parameters"
    """Form in which the annotations give the body."""
    expected_samples: int | None = None
    """Of the published figures, where they are known."""
    image_names: str = ""
    """Regular expression that is found in the paths of all its test images."""

    @property
    def network_metrics(self) -> tuple[str, ...]:
        """Lists the metrics that a network's bodies have: those of vertices need a target mesh."""
        return tuple(name for name in self.metrics if self.targets == "parameters" or name != "pve")


PROTOCOLS = {
    PUBLISHED: Protocol(
        name=PUBLISHED,
        title="3DPW test, protocol 2",
        metrics=(*JOINT_METRICS, "pve"),
        text=(
            "3DPW test split, no training on 3DPW. Joints: 14, by J_regressor_h36m from the neutral body "
            "(prediction) and from the body of the labelled gender (truth), centered on the pelvis; PA: one "
            "similarity without reflection per sample. PVE: both bodies of the labelled gender, neither "
            "centered nor aligned; a mesh without parameters is compared as it is, both centered on the pelvis."
        ),
        bodies={"neutral": "SMPL_NEUTRAL.pkl", "male": "SMPL_MALE.pkl", "female": "SMPL_FEMALE.pkl"},
        roles={"m": "male", "f": "female"},
        expected_samples=35515,
        image_names=r"(downtown|flat|office|outdoors)_\w+[/\\]image_\d+",
    ),
    "h36m": Protocol(
        name="h36m",
        title="Human3.6M, protocol 2",
        metrics=JOINT_METRICS,
        text=(
            "Human3.6M subjects 9 and 11, camera 60457274, every 5th frame. Joints: 14, by J_regressor_h36m "
            "from the neutral body (prediction) and of motion capture (truth), centered on the pelvis; PA: one "
            "similarity without reflection per sample."
        ),
        bodies={"neutral": "SMPL_NEUTRAL.pkl"},
        targets="joints3d",
        image_names=r"S(9|11)[ _/\\].*60457274",
    ),
    OPEN: Protocol(
        name=OPEN,
        title="open body",
        metrics=(*JOINT_METRICS, "pve"),
        text=(
            "The open body on both sides, without genders. Joints: the 14 of 3DPW by the open body's own "
            "regressor, centered on the pelvis; PA: one similarity without reflection per sample. PVE: neither "
            "centered nor aligned; a mesh without parameters is compared as it is, both centered on the pelvis. "
            "Figures are not comparable with 3DPW's."
        ),
        bodies={"neutral": "open"},
    ),
}
"""The three protocols by name."""

KEYPOINTS = "keypoints"
"""Of recipes whose network finds 2D joints in place of bodies (`hmrcli.evaluation.evaluate`)."""
