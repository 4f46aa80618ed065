"""What goes together in a recipe and what does not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from hmrcli.assets.open_sets import OPEN_SETS

if TYPE_CHECKING:
    from hmrcli.recipe.schema import Recipe

LearningRateGroup = Literal["backbone", "head", "adversary"]

BACKBONES = {
    "hmr": ("resnet18", "resnet50", "hrnet_w32"),
    "spin": ("resnet18", "resnet50", "hrnet_w32"),
    "graphcmr": ("resnet50",),
    "pare": ("resnet18", "hrnet_w32", "hrnet_w48"),
    "graphormer": ("hrnet_w48", "hrnet_w64"),
    "pose": ("resnet18", "resnet50", "hrnet_w32", "hrnet_w48"),
}
"""What each algorithm's network can stand on (`hmrcli.algorithms.build`)."""

_REGRESSION = ("l1", "mse", "smooth_l1")
_SMPL = ("keypoints3d", "keypoints2d", "rotmat", "betas")

LOSSES = {
    "hmr": (*_SMPL, "vertices", "adversarial"),
    "spin": (*_SMPL, "vertices", "camera_prior"),
    # The parametric mesh; `free_*` is the mesh that the graph network places vertex by vertex.
    "graphcmr": (*_SMPL, "vertices", "free_keypoints3d", "free_keypoints2d", "free_vertices"),
    "pare": (*_SMPL, "camera_prior", "part_maps", "local_keypoints3d"),
    # Joints regressed from the mesh; `token_*` are the joints that the network places itself.
    "graphormer": (
        *("keypoints3d", "keypoints2d", "token_keypoints3d", "token_keypoints2d"),
        *("vertices", "middle_vertices", "coarse_vertices"),
    ),
    "pose": ("heatmaps",),
}
"""The terms that each algorithm can have."""

_KINDS = {
    "adversarial": ("lsgan",),
    "camera_prior": ("exp",),
    "heatmaps": ("mse",),
    "part_maps": ("cross_entropy",),
}
"""The kinds of a term, where they differ from the plain ones."""

Key = tuple[str, ...]


class Impossible(ValueError):
    """A combination that cannot work; `key` is the one to change."""

    def __init__(self, key: Key, message: str) -> None:
        super().__init__(message)
        self.key = key


def check(recipe: "Recipe") -> None:
    """Raises the first `Impossible` of a recipe."""
    for rules in (_network, _data, _camera, _losses, _optimisation, _in_the_loop, _evaluation):
        for key, message in rules(recipe):
            raise Impossible(key, message)


def _network(recipe: "Recipe") -> Iterator[tuple[Key, str]]:
    algorithm, network = recipe.algorithm, recipe.network
    if network.backbone not in BACKBONES[algorithm]:
        expected = " or ".join(BACKBONES[algorithm])
        yield ("network", "backbone"), f"{algorithm} stands on {expected}, not on {network.backbone}"
    if network.backbone == "resnet18" and recipe.body_model != "open":
        yield ("network", "backbone"), "resnet18 is for the open body; nothing was published with it"
    start = network.initialisation
    if start is not None and (start.backbone is None) == (start.network is None):
        yield ("network", "initialisation"), "expected one of `backbone` and `network`, or null"
    iterates = algorithm in ("hmr", "spin")
    starts = iterates or algorithm == "pare"
    leaves = recipe.leaves
    if leaves is not None and (leaves.backbone is None) == (leaves.network is None):
        yield ("leaves",), "expected one of `backbone` and `network`, or null"
    yield from _only("network", "iterations", network.iterations, iterates, algorithm, needed=True)
    yield from _only("network", "mean_parameters", network.mean_parameters, starts, algorithm)
    masks = algorithm == "graphormer"
    yield from _only("network", "masked_fraction", network.masked_fraction, masks, algorithm, needed=True)
    freezes = network.backbone.startswith("hrnet") and algorithm != "graphormer"
    # The open benchmark may start from random weights, which bring no statistics that one could keep.
    chosen = freezes and recipe.body_model == "open"
    if (network.batch_norm == "frozen") != freezes and not chosen:
        expected = "frozen" if freezes else "synchronised or local"
        yield ("network", "batch_norm"), f"{algorithm} on {network.backbone} has {expected} statistics"


def _data(recipe: "Recipe") -> Iterator[tuple[Key, str]]:
    data, mixture = recipe.data, recipe.data.mixture
    shares = [dataset.share for dataset in mixture.values() if dataset.share is not None]
    if shares and len(shares) < len(mixture):
        without = next(name for name, dataset in mixture.items() if dataset.share is None)
        yield ("data", "mixture", without), "has no `share` though other sets have one"
    if shares and abs(sum(shares) - 1) > 1e-6:
        yield ("data", "mixture"), f"the shares sum to {sum(shares):g} instead of 1"
    if not shares and data.epoch_length != "sum":
        yield ("data", "epoch_length"), "sets without shares are gone through once: expected `sum`"
    if data.image_size != 224 and recipe.algorithm == "graphormer":
        yield ("data", "image_size"), "graphormer reads a grid of 7 by 7 cells: expected 224"
    for name, dataset in mixture.items():
        if dataset.fits is not None and recipe.in_the_loop is None:
            yield ("data", "mixture", name, "fits"), "stored fits are for recipes with `in_the_loop`"
        if name in OPEN_SETS and (dataset.rows or 0) > OPEN_SETS[name].rows:
            yield ("data", "mixture", name, "rows"), f"{name} has {OPEN_SETS[name].rows:,} rows"
    if (data.joints == "evaluation_14") != (recipe.algorithm == "graphormer"):
        yield ("data", "joints"), "graphormer, and it alone, learns `evaluation_14`"
    if recipe.algorithm == "spin" and data.joints != "smpl_49":
        yield ("data", "joints"), "fitting in the loop needs `smpl_49`"
    if "part_maps" in recipe.losses and data.joints != "smpl_54":
        yield ("data", "joints"), "the loss `part_maps` needs the body's own joints: expected `smpl_54`"
    if (data.joints == "coco_17") != (recipe.algorithm == "pose"):
        yield ("data", "joints"), "pose, and it alone, learns `coco_17`"
    mix = recipe.augmentation.self_mix
    for name in mix.datasets if mix else ():
        if name not in mixture:
            yield (
                ("augmentation", "self_mix", "datasets"),
                f"{name} is not in the mixture ({', '.join(mixture)})",
            )
    for name in ("area", "aspect", "blend") if mix else ():
        low, high = getattr(mix, name)
        if low > high or (high > 1 and name != "aspect"):
            limits = "the smaller number first" + ("" if name == "aspect" else ", none above 1")
            yield ("augmentation", "self_mix", name), f"expected {limits}"


def _camera(recipe: "Recipe") -> Iterator[tuple[Key, str]]:
    algorithm, camera = recipe.algorithm, recipe.camera
    if (camera is None) != (algorithm == "pose"):
        expected = "has no use for it" if algorithm == "pose" else "needs it"
        yield ("camera",), f"{algorithm} {expected}"
    if camera is None:
        return
    perspective = algorithm in ("hmr", "spin", "pare")
    if (camera.kind == "perspective") != perspective:
        expected = "perspective" if perspective else "orthographic"
        yield ("camera", "kind"), f"{algorithm} has a camera that is {expected}"
    yield from _only("camera", "focal_length", camera.focal_length, perspective, algorithm, needed=True)


def _losses(recipe: "Recipe") -> Iterator[tuple[Key, str]]:
    algorithm, losses = recipe.algorithm, recipe.losses
    for term, loss in losses.items():
        if term not in LOSSES[algorithm]:
            expected = ", ".join(LOSSES[algorithm])
            yield ("losses", term), f"{algorithm} has no such loss, expected some of {expected}"
        kinds = _KINDS.get(term, _REGRESSION)
        if loss.kind not in kinds:
            yield ("losses", term, "kind"), f"expected {' or '.join(kinds)}, found {loss.kind}"
        if ("keypoints" in term) != (loss.over is not None):
            needs = "needs `over`" if "keypoints" in term else "is no keypoint loss and has no `over`"
            yield ("losses", term), needs
    if recipe.adversary is not None and algorithm != "hmr":
        yield ("adversary",), f"only hmr has an adversary, {algorithm} has none"
    if (recipe.adversary is not None) != ("adversarial" in losses):
        key: Key = ("losses", "adversarial") if "adversarial" in losses else ("adversary",)
        yield key, "`adversary` and `losses.adversarial` come together"


def _optimisation(recipe: "Recipe") -> Iterator[tuple[Key, str]]:
    optimizer, schedule = recipe.optimizer, recipe.schedule
    rate = optimizer.learning_rate("adversary")
    if rate is None and recipe.adversary is not None:
        yield ("optimizer", "lr"), "the adversary needs a rate"
    if not isinstance(optimizer.lr, float) and rate is not None and recipe.adversary is None:
        yield ("optimizer", "lr", "adversary"), "there is no adversary in this recipe"
    if max(optimizer.betas) >= 1:
        yield ("optimizer", "betas"), "expected numbers below 1"
    decay = schedule.lr_decay
    epochs = decay.epochs if decay else ()
    if list(epochs) != sorted(set(epochs)) or max(epochs, default=0) >= schedule.epochs:
        expected = f"expected rising numbers below {schedule.epochs}, the epochs of the schedule"
        yield ("schedule", "lr_decay", "epochs"), expected


def _in_the_loop(recipe: "Recipe") -> Iterator[tuple[Key, str]]:
    loop = recipe.in_the_loop
    if (loop is not None) != (recipe.algorithm == "spin"):
        yield ("in_the_loop",), "spin, and it alone, fits bodies in the loop"
    if loop is not None and loop.objective == "original" and not loop.corrected:
        yield ("in_the_loop", "corrected"), "SPIN's own objective has nothing to correct: expected true"


def _evaluation(recipe: "Recipe") -> Iterator[tuple[Key, str]]:
    evaluation, two_meshes = recipe.evaluation, recipe.algorithm == "graphcmr"
    yield from _only("evaluation", "surfaces", evaluation.surfaces, two_meshes, recipe.algorithm, needed=True)
    if (evaluation.protocol == "keypoints") != (recipe.algorithm == "pose"):
        yield ("evaluation", "protocol"), "pose, and it alone, is measured by `keypoints`"
    if recipe.body_model == "open" and evaluation.protocol not in ("open", "keypoints"):
        yield ("evaluation", "protocol"), f"{evaluation.protocol} needs the body model smpl"


def _only(
    section: str, field: str, value: object, applies: bool, algorithm: str, needed: bool = False
) -> Iterator[tuple[Key, str]]:
    if value is not None and not applies:
        yield (section, field), f"{algorithm} has no use for it"
    if value is None and applies and needed:
        yield (section, field), f"{algorithm} needs it"
