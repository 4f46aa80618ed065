"""Rules for recipes of each algorithm, and what else is known of it outside of its file in `hmrcli.algorithms`.

Nothing here needs torch: recipes are read and checked without it. A new algorithm has an entry here and a file there
(docs/add_an_algorithm.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class CropShape(NamedTuple):
    """Size of the picture that a network sees, pixels."""

    width: int
    height: int


def compared(*names: str) -> dict[str, tuple[str, ...]]:
    """Terms that compare numbers with their targets, in one of three ways."""
    return dict.fromkeys(names, ("l1", "mse", "smooth_l1"))


@dataclass(frozen=True)
class Algorithm:
    """Facts on an algorithm outside of its own file."""

    name: str
    """As recipes say it; also of its file."""
    title: str
    backbones: tuple[str, ...]
    """Backbones that its network can stand on."""
    terms: Mapping[str, tuple[str, ...]]
    """The terms that its loss can have, and the kinds of each."""
    camera: Literal["perspective", "orthographic"] | None
    """The section of that name, by which its losses bring joints into the crop; None has none."""
    joints: tuple[str, ...] = ("smpl_54", "smpl_49", "common_24")
    """The joint sets that it can learn."""
    needs: tuple[str, ...] = ()
    """Keys that its recipes have and others have not, beside those that it `allows`."""
    allows: tuple[str, ...] = ()
    entry: str = "decpose.weight"
    """End of the name of an entry that its weight files have."""
    crop_shapes: Mapping[int, CropShape] = field(
        default_factory=lambda: {128: CropShape(128, 128), 224: CropShape(224, 224)}
    )
    """The picture for each `data.image_size`, which is its width."""
    term_of_smpl_54: str = ""
    """The one that compares the body's own joints, which `smpl_54` alone begins with."""
    freezes_hrnet: bool = True
    """An HRNet's batch statistics stay those of its weight file."""
    mesh_levels: bool = False
    """Its network needs the body's coarser meshes."""
    makes_bodies: bool = True
    """It answers with bodies, not with heatmaps of joints."""


_BODY = compared("keypoints3d", "keypoints2d", "rotmat", "betas")
_CAMERA_PRIOR = {"camera_prior": ("exp",)}
_ITERATIVE = ("camera.focal_length", "network.iterations")

ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "hmr",
            title="HMR",
            backbones=("resnet18", "resnet50", "hrnet_w32"),
            terms={**_BODY, **compared("vertices"), "adversarial": ("lsgan",)},
            camera="perspective",
            needs=_ITERATIVE,
            allows=("network.mean_parameters", "adversary"),
        ),
        Algorithm(
            "spin",
            title="SPIN",
            backbones=("resnet18", "resnet50", "hrnet_w32"),
            terms={**_BODY, **compared("vertices"), **_CAMERA_PRIOR},
            camera="perspective",
            joints=("smpl_49",),
            needs=(*_ITERATIVE, "in_the_loop"),
            allows=("network.mean_parameters",),
        ),
        Algorithm(
            "graphcmr",
            title="GraphCMR",
            backbones=("resnet50",),
            # The parametric mesh; `free_*` is the mesh that the graph network places vertex by vertex.
            terms={
                **_BODY,
                **compared("vertices", "free_keypoints3d", "free_keypoints2d", "free_vertices"),
            },
            camera="orthographic",
            needs=("evaluation.meshes",),
            entry="gc.0.W",
            mesh_levels=True,
        ),
        Algorithm(
            "pare",
            title="PARE",
            backbones=("resnet18", "hrnet_w32", "hrnet_w48"),
            terms={
                **_BODY,
                **compared("local_keypoints3d"),
                **_CAMERA_PRIOR,
                "part_maps": ("cross_entropy",),
            },
            camera="perspective",
            needs=("camera.focal_length",),
            allows=("network.mean_parameters",),
            entry="pose_mlp.weight",
            term_of_smpl_54="part_maps",
        ),
        Algorithm(
            "graphormer",
            title="Graphormer",
            backbones=("hrnet_w48", "hrnet_w64"),
            # Joints regressed from the mesh; `token_*` are the joints that the network places itself.
            terms=compared(
                *("keypoints3d", "keypoints2d", "token_keypoints3d", "token_keypoints2d"),
                *("vertices", "middle_vertices", "coarse_vertices"),
            ),
            camera="orthographic",
            joints=("evaluation_14",),
            needs=("network.masked_fraction",),
            entry="trans_encoder.0.cls_head.weight",
            crop_shapes={224: CropShape(224, 224)},  # a grid of 7 by 7 cells
            freezes_hrnet=False,
            mesh_levels=True,
        ),
        Algorithm(
            "pose",
            title="a pose network",
            backbones=("resnet18", "resnet50", "hrnet_w32", "hrnet_w48"),
            terms={"heatmaps": ("mse",)},
            camera=None,
            joints=("coco_17",),
            entry="joint_maps.weight",
            makes_bodies=False,
        ),
        Algorithm(
            "cliff",
            title="CLIFF",
            backbones=("resnet18", "resnet50"),
            terms={**_BODY, **compared("vertices")},
            camera=None,
            needs=("network.iterations",),
            allows=("network.mean_parameters",),
            crop_shapes={192: CropShape(192, 256), 224: CropShape(224, 224)},
        ),
    )
}
"""The five of the benchmark, and what trains backbones for them to start from."""
