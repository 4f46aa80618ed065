"""Choices beside the recipe by which a run trains, how it is measured, and where it stands after each step."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from hmrcli.training.learner import Precision

Figures = Mapping[str, float]
"""By name and unit, such as `pa_mpjpe_mm`; none on all processes but the first."""


class Validation(NamedTuple):
    """Functions that all processes of a run call together."""

    measure: Callable[[nn.Module], Figures]
    mean_pose: Callable[[], Figures] = dict
    """Measures the best answer that does not look at the picture, to compare with."""


class Progress(NamedTuple):
    """Says where a run stands after a step."""

    step: int
    steps: int
    """Steps that are done, and those after which the run ends."""
    epoch: int
    """Of the step, from 0."""
    losses: Mapping[str, float]
    images_per_second: float
    waiting: float
    """Share of the step's time spent waiting for samples."""
    ends: bool
    """It was the last of its epoch, or of the run."""


@dataclass(frozen=True)
class Settings:
    """Says how to train beside the recipe: nothing here changes what is learnt, up to rounding."""

    root: Path
    """The data root."""
    out: Path | None = None
    resume: str = "auto"
    """`auto`, `never`, or the path of a checkpoint or run."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    compile: bool = False
    """Compiles the network first (`torch.compile`)."""
    max_steps: int | None = None
    """Ends the run when so many steps are done in all."""
    without: Collection[str] = ()
    """Training sets to leave out."""
    open_prior: bool = False
    """SPIN fits with the bundled pose prior instead of the recipe's."""
    accumulate: int = 1
    """Micro-batches of each process, over which it accumulates gradients, to need less memory."""
    workers: int = 0
    """Processes that make samples, for each process that trains."""
    save_every: int | None = None
    keep_every: int | None = None
    """Steps between checkpoints, by default an epoch's, and between those that are kept for good."""
    validation: Validation | None = None
    watch: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = lambda text: None
    """For notes to a person."""
