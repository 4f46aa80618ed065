"""A whole recipe, and what goes together in it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hmrcli.assets.open_sets import OPEN_SETS
from hmrcli.recipe import schema
from hmrcli.recipe.algorithms import ALGORITHMS, Algorithm, CropShape
from hmrcli.recipe.document import Key, dump_document
from hmrcli.recipe.names import Name
from hmrcli.recipe.protocols import KEYPOINTS, PROTOCOLS


class Recipe(schema.Section):
    """A whole recipe; `load_recipe` reads one."""

    name: Name
    algorithm: Literal[*ALGORITHMS]  # type: ignore[valid-type]
    """`pose` trains a backbone on heatmaps of 2D joints, for the others to start from."""
    variant: Literal["normal", "l1", "l1_coco", "l1_coco_aug", "open"]
    published: schema.Published | None
    body_model: Literal["smpl", "open"]
    network: schema.Network
    data: schema.Data
    camera: schema.Camera | None = None
    """Not for pose, which places nothing in space."""
    adversary: schema.Adversary | None = None
    augmentation: schema.Augmentation
    losses: Annotated[Mapping[str, schema.Loss], Field(min_length=1)]
    optimizer: schema.Optimizer
    schedule: schema.Schedule
    in_the_loop: schema.InTheLoop | None = None
    evaluation: schema.Evaluation
    exports: schema.Exports | None = None
    """For other recipes to start from."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]

    @property
    def rules(self) -> Algorithm:
        """Returns what holds for all recipes of its algorithm."""
        return ALGORITHMS[self.algorithm]

    @property
    def crop_shape(self) -> CropShape:
        """Size of the pictures that its network sees."""
        return self.rules.crop_shapes[self.data.image_size]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for rules in (_network, _data, _camera, _losses, _optimisation, _evaluation, _sections):
            for key, message in rules(self):
                raise Impossible(key, message)
        return self

    def as_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings, numbers and None, in the order of the schema."""
        return self.model_dump(mode="json", exclude_unset=True)

    def leaves(self) -> dict[str, Any]:
        """Returns its values by dotted key, such as `optimizer.lr`."""
        return _leaves(self.as_dict())

    def dump(self) -> str:
        """Returns YAML that loads to an equal recipe."""
        return dump_document(self.as_dict())


def _leaves(section: dict[str, Any], start: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in section.items():
        leaves |= _leaves(value, f"{start}{name}.") if isinstance(value, dict) else {f"{start}{name}": value}
    return leaves


class Impossible(ValueError):
    """A combination that cannot work; `key` is the one to change."""

    def __init__(self, key: Key, message: str) -> None:
        super().__init__(message)
        self.key = key


def _network(recipe: Recipe) -> Iterator[tuple[Key, str]]:
    rules, network = recipe.rules, recipe.network
    if network.backbone not in rules.backbones:
        expected = " or ".join(rules.backbones)
        yield ("network", "backbone"), f"{rules.name} stands on {expected}, not on {network.backbone}"
    if network.backbone == "resnet18" and recipe.body_model != "open":
        yield ("network", "backbone"), "resnet18 is for the open body; nothing was published with it"
    start, exports = network.initialisation, recipe.exports
    if start is not None and (start.backbone is None) == (start.network is None):
        yield ("network", "initialisation"), "expected one of `backbone` and `network`, or null"
    if exports is not None and (exports.backbone is None) == (exports.network is None):
        yield ("exports",), "expected one of `backbone` and `network`, or null"
    freezes = network.backbone.startswith("hrnet") and rules.freezes_hrnet
    # The open benchmark may start from random weights, which bring no statistics that one could keep.
    chosen = freezes and recipe.body_model == "open"
    if (network.batch_norm == "frozen") != freezes and not chosen:
        expected = "frozen" if freezes else "synchronised or local"
        yield ("network", "batch_norm"), f"{rules.name} on {network.backbone} has {expected} statistics"


def _data(recipe: Recipe) -> Iterator[tuple[Key, str]]:
    rules, data, mixture = recipe.rules, recipe.data, recipe.data.mixture
    shares = [dataset.share for dataset in mixture.values() if dataset.share is not None]
    if shares and len(shares) < len(mixture):
        without = next(name for name, dataset in mixture.items() if dataset.share is None)
        yield ("data", "mixture", without), "has no `share` though other sets have one"
    if shares and abs(sum(shares) - 1) > 1e-6:
        yield ("data", "mixture"), f"the shares sum to {sum(shares):g} instead of 1"
    if not shares and data.epoch_length != "sum":
        yield ("data", "epoch_length"), "sets without shares are gone through once: expected `sum`"
    if data.image_size not in rules.crop_shapes:
        expected = " or ".join(map(str, rules.crop_shapes))
        yield ("data", "image_size"), f"expected {expected}, found {data.image_size}"
    for name, dataset in mixture.items():
        if dataset.fits is not None and recipe.in_the_loop is None:
            yield ("data", "mixture", name, "fits"), "stored fits are for recipes with `in_the_loop`"
        if name in OPEN_SETS and (dataset.rows or 0) > OPEN_SETS[name].rows:
            yield ("data", "mixture", name, "rows"), f"{name} has {OPEN_SETS[name].rows:,} rows"
    if data.joints not in rules.joints:
        yield ("data", "joints"), f"{rules.name} learns {' or '.join(rules.joints)}"
    if data.joints != "smpl_54" and (term := rules.term_of_smpl_54) in recipe.losses:
        yield ("data", "joints"), f"the loss `{term}` needs the body's own joints: expected `smpl_54`"
    mix = recipe.augmentation.self_mix
    for name in mix.datasets if mix else ():
        if name not in mixture:
            absent = f"{name} is not in the mixture ({', '.join(mixture)})"
            yield ("augmentation", "self_mix", "datasets"), absent
    for name in ("area", "aspect", "blend") if mix else ():
        low, high = getattr(mix, name)
        if low > high or (high > 1 and name != "aspect"):
            limits = "the smaller number first" + ("" if name == "aspect" else ", none above 1")
            yield ("augmentation", "self_mix", name), f"expected {limits}"


def _camera(recipe: Recipe) -> Iterator[tuple[Key, str]]:
    expected, camera = recipe.rules.camera, recipe.camera
    if expected and camera is None:
        yield ("camera",), f"{recipe.algorithm} needs it"
    if expected and camera and camera.kind != expected:
        yield ("camera", "kind"), f"{recipe.algorithm} has a camera that is {expected}"
    if camera and not expected:
        yield ("camera",), _no_use(recipe)


def _losses(recipe: Recipe) -> Iterator[tuple[Key, str]]:
    losses, terms = recipe.losses, recipe.rules.terms
    for term, loss in losses.items():
        if term not in terms:
            expected = ", ".join(terms)
            yield ("losses", term), f"{recipe.algorithm} has no such loss, expected some of {expected}"
        elif loss.kind not in terms[term]:
            yield ("losses", term, "kind"), f"expected {' or '.join(terms[term])}, found {loss.kind}"
        if ("keypoints" in term) != (loss.over is not None):
            needs = "needs `over`" if "keypoints" in term else "is no keypoint loss and has no `over`"
            yield ("losses", term), needs
    if "adversarial" in terms and (recipe.adversary is not None) != ("adversarial" in losses):
        key = ("losses", "adversarial") if "adversarial" in losses else ("adversary",)
        yield key, "`adversary` and `losses.adversarial` come together"


def _optimisation(recipe: Recipe) -> Iterator[tuple[Key, str]]:
    optimizer, schedule = recipe.optimizer, recipe.schedule
    rate = optimizer.learning_rate("adversary")
    if rate is None and recipe.adversary is not None:
        yield ("optimizer", "lr"), "the adversary needs a rate"
    if not isinstance(optimizer.lr, float) and rate is not None and recipe.adversary is None:
        yield ("optimizer", "lr", "adversary"), "there is no adversary in this recipe"
    if max(optimizer.betas) >= 1:
        yield ("optimizer", "betas"), "expected numbers below 1"
    epochs = schedule.lr_decay.epochs if schedule.lr_decay else ()
    if list(epochs) != sorted(set(epochs)) or max(epochs, default=0) >= schedule.epochs:
        expected = f"expected rising numbers below {schedule.epochs}, the epochs of the schedule"
        yield ("schedule", "lr_decay", "epochs"), expected


def _evaluation(recipe: Recipe) -> Iterator[tuple[Key, str]]:
    key, protocol, bodies = ("evaluation", "protocol"), recipe.evaluation.protocol, recipe.rules.makes_bodies
    if protocol == KEYPOINTS and bodies:
        yield key, f"{recipe.algorithm} makes bodies, which `{KEYPOINTS}` does not measure"
    if protocol != KEYPOINTS and not bodies:
        yield key, f"{recipe.algorithm} makes heatmaps: expected `{KEYPOINTS}`"
    if (
        recipe.body_model == "open"
        and protocol != KEYPOINTS
        and PROTOCOLS[protocol].bodies["neutral"] != "open"
    ):
        yield key, f"{protocol} needs the body model smpl"


def _sections(recipe: Recipe) -> Iterator[tuple[Key, str]]:
    """Says which keys an algorithm needs, and which serve others alone."""
    needs, allows = recipe.rules.needs, recipe.rules.allows
    for dotted in dict.fromkeys(key for a in ALGORITHMS.values() for key in (*a.needs, *a.allows)):
        key = tuple(dotted.split("."))
        value: Any = recipe
        for part in key:
            value = getattr(value, part, None)
        if value is None and dotted in needs:
            yield key, f"{recipe.algorithm} needs it"
        if value is not None and dotted not in (*needs, *allows):
            yield key, _no_use(recipe)
    loop = recipe.in_the_loop
    if loop is not None and loop.objective == "original" and not loop.corrected:
        yield ("in_the_loop", "corrected"), "SPIN's own objective has nothing to correct: expected true"


def _no_use(recipe: Recipe) -> str:
    return f"{recipe.algorithm} has no use for it"
