"""The algorithms, one file each: the network, `build` for a recipe's settings, and `losses` of its predictions.

What their recipes may say stands in `ALGORITHMS`. Importing this package needs no torch; a file here does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from hmrcli.recipe.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hmrcli.algorithms.targets import TrainingTargets
    from hmrcli.body import BodyModel
    from hmrcli.layers import MeanParameters
    from hmrcli.recipe import Recipe
    from hmrcli.recipe.schema import Network

    class Code(Protocol):
        """Contents of an algorithm's file."""

        def build(self, network: Network, body: BodyModel, mean: MeanParameters | None) -> nn.Module:
            """Builds the network of a recipe's section `network`, with fresh weights, in training mode."""

        def losses(
            self, prediction: Any, targets: TrainingTargets, body: BodyModel, recipe: Recipe
        ) -> dict[str, Tensor]:
            """Computes the terms that `recipe.losses` names, without their weights, of a `Prediction` or heatmaps."""


__all__ = ["ALGORITHMS", "build_network", "code_of"]


def code_of(recipe: "Recipe") -> "Code":
    """Returns the file of a recipe's algorithm."""
    return cast("Code", import_module(f"{__name__}.{ALGORITHMS[recipe.algorithm].name}"))


def build_network(recipe: "Recipe", body: "BodyModel", mean: "MeanParameters | None" = None) -> "nn.Module":
    """Builds the network of a recipe with fresh weights, in training mode.

    Args:
        recipe: names the algorithm and its network.
        body: mesh, joints and levels are taken from it, whatever their sizes.
        mean: where HMR's and SPIN's iteration starts, and what PARE's output is added to where the recipe says so,
            read from its `mean_parameters`; by default the rest pose. Weight files bring their own.

    Returns:
        Module that maps `Crops`, or (B, 3, 224, 224) normalised RGB, to a `Prediction`, or to heatmaps for `pose`.

    Raises:
        MissingFile: the body's mesh levels or joint regressor are not there.
    """
    return code_of(recipe).build(recipe.network, body, mean)
