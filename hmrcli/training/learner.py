"""Network and optimisers of a run: what a step of training works with, and what a checkpoint keeps of it."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from hmrcli.algorithms import code_of
from hmrcli.algorithms.targets import Counts, blank_labels, count_labels
from hmrcli.body.model import BodyModel
from hmrcli.data.sets import Bodies
from hmrcli.data.training import Batch
from hmrcli.distributed import averaged, rank_and_size
from hmrcli.errors import UsageError
from hmrcli.layers import Discriminator, Prediction
from hmrcli.layers.crops import Crops, whole_photos
from hmrcli.layers.weights import backbone_of
from hmrcli.recipe import Recipe
from hmrcli.recipe.schema import LearningRateGroup
from hmrcli.training.losses import Adversary, blocks_like, total, training_losses

Precision = Literal["fp32", "bf16"]

Labels = dict[str, Tensor]

Relabel = Callable[[Batch, Prediction], Labels]
"""Makes labels of a batch after a look at the prediction: SPIN's fitting in the loop."""


@dataclass
class Learner:
    """Network and optimisers of a run, and how they are used."""

    recipe: Recipe
    body: BodyModel
    network: nn.Module
    """As it is saved and evaluated."""
    parallel: nn.Module
    """The same as it computes: compiled where that was asked for, wrapped where several processes train it."""
    optimizer: torch.optim.Optimizer
    adversary: Adversary | None
    relabel: Relabel | None
    device: torch.device
    precision: Precision
    compute_losses: Callable[..., dict[str, Tensor]]
    """`training_losses`, compiled where that was asked for."""
    failed: Tensor
    """Scalar on the device, 1 from the first step on whose losses are no numbers: no later one changes anything."""

    def state(self) -> dict[str, Any]:
        """Returns all that changes in training beside the network."""
        adversary = self.adversary.state() if self.adversary else {}
        return {"optimizer": self.optimizer.state_dict(), **adversary}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` gave.

        Raises:
            Exception: of any kind: it is of another recipe, or was made up.
        """
        _load_optimizer(self.optimizer, state["optimizer"])
        if self.adversary is not None:
            self.adversary.discriminator.load_state_dict(state["discriminator"])
            _load_optimizer(self.adversary.optimizer, state["discriminator_optimizer"])

    def losses(self, prediction: Any, labels: Labels, crops: Crops, counts: Counts) -> dict[str, Tensor]:
        """Computes the weighted terms of a batch, or of a micro-batch."""
        discriminator = self.adversary.discriminator if self.adversary else None
        return self.compute_losses(
            self.recipe, prediction, labels, crops, self.body, discriminator, counts, code_of(self.recipe)
        )


def make_learner(
    recipe: Recipe,
    network: nn.Module,
    body: BodyModel,
    device: torch.device,
    real: Bodies | None = None,
    relabel: Relabel | None = None,
    precision: Precision = "fp32",
    compiled: bool = False,
) -> Learner:
    """Brings a network to its device, with optimisers for what is trained.

    Args:
        network: with the weights to start from.
        body: that it was built on, on the device.
        real: poses and shapes for the adversary of a recipe that has one.
        compiled: computes network and losses through `torch.compile`; the network itself, which is saved and
            evaluated, stays as it is. What lies between them in a step is not compiled: SPIN's fits, and the
            discriminator's step, after which it scores.

    Raises:
        UsageError: bf16 on a device that has none.
    """
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UsageError("--precision: this GPU does not compute bf16; use fp32")
    network = nn.utils.convert_conv2d_weight_memory_format(network.to(device), torch.channels_last)
    size = rank_and_size()[1]
    if size > 1 and recipe.network.batch_norm == "synchronised" and device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    adversary = None
    if recipe.adversary is not None and real is not None:
        discriminator = Discriminator().to(device)
        optimizer = _adam(recipe, {"adversary": list(discriminator.parameters())}, device)
        adversary = Adversary(discriminator, optimizer, real, recipe.seed)
    learner = Learner(
        recipe=recipe,
        body=body,
        network=network,
        parallel=network,
        optimizer=_adam(recipe, parameter_groups(network), device),
        adversary=adversary,
        relabel=relabel,
        device=device,
        precision=precision,
        compute_losses=training_losses,
        failed=torch.zeros((), device=device),
    )
    if compiled:
        _loss_of_nothing(learner)  # what is made when it is first asked for is made before the compiler looks
        learner.parallel, learner.compute_losses = compile_whole(network), compile_whole(training_losses)
    if size > 1:
        for parameter in _unreached(learner):  # the wrapper would wait for their gradients for ever
            parameter.requires_grad_(False)
        ids = [device] if device.type == "cuda" else None
        # Buffers are most of the body model; statistics are averaged when they are used (`share_statistics`).
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # older torch has another word
            learner.parallel = DistributedDataParallel(
                learner.parallel, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True
            )
    return learner


def _unreached(learner: Learner) -> list[nn.Parameter]:
    """Finds parameters that no loss of the recipe depends on, whatever the labels, on a grey picture.

    What an output leads to is not enough (`find_unused_parameters`): PARE without losses of the camera has one.
    """
    trained = [parameter for parameter in learner.network.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(_loss_of_nothing(learner), trained, allow_unused=True)
    return [parameter for parameter, gradient in zip(trained, gradients) if gradient is None]


def _loss_of_nothing(learner: Learner) -> Tensor:
    """Computes the loss of a grey picture without labels."""
    labels, crops = blank_labels(learner.recipe, learner.device), _grey(learner, 1)
    prediction = learner.network.eval()(crops)
    return total(learner.losses(prediction, labels, crops, count_labels(labels)))


def _grey(learner: Learner, samples: int) -> Crops:
    width, height = learner.recipe.crop_shape
    return whole_photos(torch.zeros(samples, 3, height, width, device=learner.device))


def can_train_on(learner: Learner, samples: int) -> bool:
    """Tells whether batch norm can make statistics of so few samples; one is too few over maps of one cell."""
    set_training(learner.network, learner.recipe)
    kept = Kept(learner)
    try:
        with torch.no_grad():
            learner.network(_grey(learner, samples))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        return False
    finally:
        kept.put_back()
    return True


class Kept:
    """A copy of what a step changes before it is known to have succeeded: running statistics and the adversary.

    Tensors of a kind are copied as one block, because a GPU is given hundreds of small copies in milliseconds.
    """

    def __init__(self, learner: Learner) -> None:
        """Copies."""
        kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        statistics = [
            buffer
            for module in learner.network.modules()
            if isinstance(module, _BatchNorm) and module.training
            for buffer in module.buffers(recurse=False)
        ]
        for tensor in statistics + (learner.adversary.changes() if learner.adversary else []):
            kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        self._copies = [(own, _block(own)) for own in kinds.values()]

    @torch.no_grad()
    def put_back(self, where: Tensor | None = None) -> None:
        """Brings the state of then back.

        Args:
            where: a scalar, bool, on the device: leaves all as it is where it is false. Nobody waits for it.
        """
        for own, block in self._copies:
            values = block if where is None else torch.where(where, block, _block(own))
            torch._foreach_copy_(own, blocks_like(own, values))


def _block(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Puts an optimiser's moments back; rates and the like stay those of the recipe.

    Raises:
        Exception: of any kind: they are of other parameters, or no moments.
    """
    own = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(dict(state))
    for group, values in zip(optimizer.param_groups, own):
        group.update(values)
    for parameter, moments in optimizer.state.items():
        shapes = {"step": (), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
        if shapes != {name: value.shape for name, value in moments.items() if value.is_floating_point()}:
            raise ValueError("moments of other parameters")


def parameter_groups(network: nn.Module) -> dict[LearningRateGroup, list[nn.Parameter]]:
    """Sorts parameters that are trained: those of the image backbone, and all others."""
    inside = set(map(id, backbone_of(network).parameters()))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return {
        "backbone": [parameter for parameter in trained if id(parameter) in inside],
        "head": [parameter for parameter in trained if id(parameter) not in inside],
    }


def learning_rate(recipe: Recipe, group: LearningRateGroup, epoch: int) -> float:
    """Returns the rate of a group in an epoch, counted from 0."""
    rate, decay = recipe.optimizer.learning_rate(group), recipe.schedule.lr_decay
    assert rate is not None  # checked with the recipe
    return rate if decay is None else rate * decay.factor ** sum(epoch >= start for start in decay.epochs)


def set_training(network: nn.Module, recipe: Recipe) -> None:
    """Switches to training mode, in which a backbone with frozen statistics keeps those of its weight file."""
    network.train()
    if recipe.network.batch_norm == "frozen":
        for module in backbone_of(network).modules():
            if isinstance(module, _BatchNorm):
                module.eval()


def share_statistics(network: nn.Module) -> None:
    """Averages the statistics that processes gathered apart, before the network is saved or evaluated."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            for statistics in (module.running_mean, module.running_var):
                if statistics is not None:
                    averaged(statistics)


def compile_whole(computes: Any) -> Any:
    """Returns a compiled view of a network or a function; dropout draws the numbers that it draws without."""
    return torch.compile(computes, fullgraph=True, options={"fallback_random": True})


def _adam(
    recipe: Recipe, groups: Mapping[LearningRateGroup, list[nn.Parameter]], device: torch.device
) -> torch.optim.Adam:
    settings = recipe.optimizer
    return torch.optim.Adam(
        [
            {"params": parameters, "lr": learning_rate(recipe, name, 0), "name": name}
            for name, parameters in groups.items()
        ],
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=device.type in ("cuda", "cpu"),
    )
