"""The sections of a recipe: everything that a row of the benchmark needs, by name.

Lengths are in metres unless a name says otherwise. A key that an algorithm has no use for is left out.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hmrcli.recipe.names import File, Name, Written
from hmrcli.recipe.protocols import KEYPOINTS, PROTOCOLS

LearningRateGroup = Literal["backbone", "head", "adversary"]

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10**12)]


class Section(BaseModel):
    """A part of a recipe: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Figure(Section):
    """A published number and where it stands."""

    value: Positive
    source: str


class Published(Section):
    """The figure that this recipe aims at, on 3DPW-test."""

    metric: Literal["pa_mpjpe_mm"]
    value: Positive
    source: str
    also_listed: tuple[Figure, ...] = ()
    """Other values that public lists gave to the same row."""


class Initialisation(Section):
    """A weight file, for the backbone alone or for the whole network."""

    backbone: File | None = None
    network: File | None = None
    optional: bool = False
    """True to start from random weights where the file is not in place; the run's record says which it was."""


class Exports(Section):
    """A file that a finished run writes below `checkpoints/`, with the weights of its best epoch."""

    backbone: Written | None = None
    network: Written | None = None


class Network(Section):
    """Network that `hmrcli.algorithms.build_network` builds, and where its weights start."""

    backbone: Literal["resnet18", "resnet50", "hrnet_w32", "hrnet_w48", "hrnet_w64"]
    initialisation: Initialisation | None
    """None starts from random weights."""
    batch_norm: Literal["synchronised", "local", "frozen"]
    """The backbone's statistics in training: of the batch on all devices or on each, or the weight file's."""
    iterations: Count | None = None
    """Iterative heads: how often they correct their estimate."""
    mean_parameters: File | None = None
    """Start of that iteration; None is the rest pose, `open` the mean of open-studio's poses.
    PARE: what its output is added to; None, as published, is nothing."""
    masked_fraction: Probability | None = None
    """Graphormer: largest share of joint and vertex tokens that training hides."""


class Dataset(Section):
    """A training set; its images lie in the folder of its name below `datasets/`."""

    annotations: File
    rows: Count | None = None
    """The first so many rows are trained on; None takes all. Of sets of the open benchmark, those not in place are
    rendered first."""
    share: Probability | None = None
    """Probability that a sample is drawn from this set; None in all sets: each sample once an epoch."""
    fits: File | None = None
    """SPIN: the stored body fits where fitting in the loop starts."""


class Data(Section):
    """Images and labels to learn from."""

    image_size: Count
    """Width of the picture that the network sees. Labels and cameras are those of a crop of 224 pixels all the same."""
    joints: Literal["smpl_54", "smpl_49", "common_24", "evaluation_14", "coco_17"]
    """The joint set of the keypoint losses (see `hmrcli.body.joints`)."""
    epoch_length: Count | Literal["max", "sum"]
    """Samples of an epoch: as many as the largest set has, as all sets have, or a number."""
    draw: Literal["independent", "by_position"] = "independent"
    """Rule of draws from sets with shares: a set and a row of it for each sample (MMHuman3D), or a set for each
    sample, whose row is the sample's position modulo the set's length (the originals of SPIN and GraphCMR)."""
    mixture: Annotated[Mapping[Name, Dataset], Field(min_length=1)]


class Camera(Section):
    """Projection of 3D joints to 2D in the losses.

    Perspective: at (tx, ty, 2 focal / (224 s)), compared as 2 p / 223 - 1. Orthographic: s (x + tx), compared
    with 2 p / 224 - 1.
    """

    kind: Literal["perspective", "orthographic"]
    focal_length: Positive | None = None
    """Pixels of the crop; perspective only."""


class Adversary(Section):
    """HMR's discriminator of real poses and shapes from predicted ones."""

    annotations: File
    """Real examples."""
    rows: Count | None = None
    """As those of a training set."""


class Rotation(Section):
    """With `probability`, a turn drawn from a normal distribution and clipped at twice its deviation."""

    degrees: NotNegative
    probability: Probability


Range = tuple[Positive, Positive]


class SelfMix(Section):
    """Blends a patch of the crop over another place of the same crop."""

    datasets: Annotated[tuple[Name, ...], Field(min_length=1)]
    probability: Probability
    area: Range
    """Share of the crop, drawn evenly."""
    aspect: Range
    """Height over width, drawn evenly."""
    blend: Range
    """Weight of the patch, drawn evenly."""
    attempts: Count
    """Draws until a patch fits inside the crop."""


class Augmentation(Section):
    """Random changes of a sample."""

    channel_noise: Probability
    """n: each channel is multiplied by a number drawn evenly from 1 - n to 1 + n."""
    flip: Probability
    scale: Probability
    """Deviation of the factor on the box, drawn from a normal distribution about 1 and clipped there."""
    rotation: Rotation
    self_mix: SelfMix | None


class Loss(Section):
    """A term of the loss.

    `smooth_l1` bends at 1; `lsgan` is (score - target)²; `exp` is exp(-10 s)², which keeps cameras positive;
    `cross_entropy` compares where a part map looks with where the joint is.
    """

    kind: Literal["l1", "mse", "smooth_l1", "lsgan", "exp", "cross_entropy"]
    weight: NotNegative
    over: Literal["visible", "flagged", "all"] | None = None
    """Keypoint terms: the mean is taken over joints with confidence, over all joints of samples that have
    such keypoints, or over all joints of the batch; confidence weighs each joint in all three."""


class LearningRates(Section):
    """A rate for each group of parameters; `head` is all but backbone and adversary."""

    backbone: Positive
    head: Positive
    adversary: Positive | None = None


class Optimizer(Section):
    """Adam; without gradient clipping."""

    kind: Literal["adam"]
    lr: Positive | LearningRates
    """One rate for all parameters, or one for each group."""
    betas: tuple[Probability, Probability]
    weight_decay: NotNegative

    def learning_rate(self, group: LearningRateGroup) -> float:
        """Returns the rate of a group of parameters at the start of training."""
        if isinstance(self.lr, LearningRates):
            return getattr(self.lr, group)
        return self.lr


class LearningRateDecay(Section):
    """The learning rate is multiplied by `factor` when an epoch of `epochs` (counted from 0) begins."""

    epochs: Annotated[tuple[Count, ...], Field(min_length=1)]
    factor: Positive


class Schedule(Section):
    """Length of training, and samples at a time."""

    epochs: Count
    batch_size: Count
    """Samples of a step, on all devices together."""
    lr_decay: LearningRateDecay | None


class FitWeights(Section):
    """Weights of the terms beside the reprojection in SPIN's fitting."""

    pose_prior: NotNegative
    angle_prior: NotNegative
    shape_prior: NotNegative


class InTheLoop(Section):
    """SPIN's fitting of the body to 2D joints while training (Kolotouros et al. 2019, section 3.3).

    `objective: benchmark` takes coordinates divided by 223, the robust function on squared residuals, a
    threshold on the sum over joints and exp(θ) - 1 in the angle prior. `original` is SPIN's own: pixels, the
    robust function on residuals, a threshold on the mean, exp(θ), and a term that holds the first depth.
    `corrected: false` repeats what is wrong in the benchmark's code: fits start at translation (s, tx, ty),
    vertex targets keep the fitted translation, and the angle prior looks three numbers too far.
    """

    objective: Literal["benchmark", "original"]
    corrected: bool
    steps: tuple[Count, Count]
    """At most so many, of the root and translation alone, then of root, pose and shape. The published optimiser is
    Adam; ours is of second order and needs fewer."""
    lr: Positive
    """Of the published optimiser. Uncorrected fits move no further than it could: lr times the first steps."""
    stop_below: Positive | None
    """A stage ends when the loss changes by a smaller share than this; None stands for 1e-5."""
    sigma: Positive
    """Scale of the robust function (Geman-McClure)."""
    weights: FitWeights
    pose_prior: File | None
    """None takes the bundled prior, which is open."""
    ignored_joints: tuple[Annotated[int, Field(ge=0, le=48)], ...]
    threshold: Positive
    """Reprojection loss below which a fit is used as a label."""
    largest_beta: Positive
    """Fits with a larger shape coefficient get the mean shape."""


class Evaluation(Section):
    """Measurements while training and by `hmr eval`."""

    protocol: Literal[*PROTOCOLS, KEYPOINTS]  # type: ignore[valid-type]
    """`keypoints` measures the 2D joints of heatmaps; the others, bodies."""
    dataset: Name
    """Folder of the images below `datasets/`."""
    annotations: File
    every_epochs: Count
    meshes: Annotated[tuple[Literal["parametric", "free"], ...], Field(min_length=1)] | None = None
    """GraphCMR: which of its two meshes are scored; the first is compared with the published figure."""
