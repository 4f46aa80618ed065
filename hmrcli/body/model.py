"""Body model: shape and pose in, vertices and joints out (Loper et al., SMPL, SIGGRAPH Asia 2015)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hmrcli.body.joints import PARENTS, ancestors
from hmrcli.body.levels import MeshLevels
from hmrcli.body.skinning import blend_rows
from hmrcli.body.sparse import SparseMatrix


class BodyOutput(NamedTuple):
    """Posed bodies: vertices (B, V, 3) and joints (B, 24, 3), metres."""

    vertices: Tensor
    joints: Tensor


@dataclass(frozen=True)
class TextureMap:
    """The mesh laid out in a texture image: coordinates (T, 2) u to the right and v up, in [0, 1].

    Faces (F, 3) hold for each corner of a face an index into them.
    """

    coordinates: NDArray[np.float32]
    faces: NDArray[np.int64]


class BodyModel(nn.Module):
    """A body with SMPL's parameters, either the bundled open one or SMPL itself.

    Nothing of it enters a state dict, so that checkpoints hold no part of a body model.

    Attributes:
        name: "open" or "smpl".
        sha256: of the file it was read from.
        num_vertices: V.
        parents: of the 24 joints, -1 for the root.
        faces: (F, 3) int64.
        v_template: (V, 3) metres, the mean body in T-pose.
        shapedirs: (V, 3, 10) metres per standard deviation.
        posedirs: (V, 3, 207) metres, for the rotation matrices minus identity of joints 1 to 23.
        joint_regressor: (24, V).
        weights: (V, 24) skin weights.
        landmark_vertices: (21,) nose, eyes, ears, toes, heels, finger tips (`joints.LANDMARKS`).
        parts: (V,) the joint that moves a vertex most.
        mirror: (V,) the vertex on the other side, or None where a body is not mirror symmetric.
        uv: texture map, or None.
        age: years of a child (`ages.of_age`); None for adults.
        size: height of the mean body, as a share of the adults'.
    """

    faces: Tensor
    v_template: Tensor
    shapedirs: Tensor
    joint_regressor: Tensor
    weights: Tensor
    landmark_vertices: Tensor
    parts: Tensor
    mirror: Tensor | None
    _posedirs: Tensor
    _ancestors: Tensor
    _upright: Tensor
    _rest_joints: Tensor
    _joint_shapedirs: Tensor
    _unposed: Tensor
    _levels: MeshLevels | None

    def __init__(
        self,
        *,
        name: str,
        sha256: str,
        arrays: dict[str, NDArray[Any]],
        extras: Callable[[str], Any],
        uv: TextureMap | None = None,
        engine: nn.Module | None = None,
        age: float | None = None,
        size: float = 1.0,
        adult: "BodyModel | None" = None,
    ) -> None:
        """Takes what `load_body` read.

        Args:
            arrays: v_template, shapedirs, posedirs, joint_regressor, weights, and integers: faces,
            landmark_vertices
                and, where the body has one, mirror.
            extras: gives h36m_regressor, extra_regressor or levels when first asked for.
            engine: runs the forward pass in place of our own: (betas, rotmat, transl) to vertices and joints.
            age, size: of a child.
            adult: whose pose directions a child's are, times its size; `arrays` then has none.
        """
        super().__init__()
        self.name, self.sha256, self.parents, self.uv = name, sha256, PARENTS, uv
        self.num_vertices = len(arrays["v_template"])
        self.age, self.size = age, size
        self._extras, self._levels = extras, None
        self._keep("mirror", None)
        for key, array in arrays.items():
            kind = torch.int64 if key in ("faces", "landmark_vertices", "mirror") else torch.float32
            name = "_posedirs" if key == "posedirs" else key
            self._keep(name, torch.as_tensor(np.ascontiguousarray(array)).to(kind))
        if adult is not None:
            self._keep("_posedirs", adult._posedirs)
        self._keep("parts", self.weights.argmax(1))
        self._keep("_ancestors", torch.tensor(ancestors(PARENTS)).flatten(1))
        self._keep("_upright", torch.eye(4))
        # A tuple hides the engine from state dicts; `_apply` moves it along.
        self._engine = (engine,) if engine else ()
        if not engine:
            self.prepare(adult)

    def _keep(self, name: str, value: Tensor | None) -> None:
        self.register_buffer(name, value, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "BodyModel":
        for engine in self._engine:
            engine._apply(fn)
        super()._apply(fn, recurse)
        return self

    @property
    def posedirs(self) -> Tensor:
        """Returns the pose directions (V, 3, 207); a child's are made anew each time, which saves keeping them."""
        return self.posedirs_of(slice(None))

    def posedirs_of(self, vertices: Tensor | slice) -> Tensor:
        """Returns the pose directions (K, 3, 207) of some vertices."""
        directions = self._posedirs[vertices]
        return directions if self.size == 1 else self.size * directions

    def prepare(self, adult: "BodyModel | None" = None) -> None:
        """Computes what the forward pass needs and can be known before."""
        self._keep("_rest_joints", (self.joint_regressor @ self.v_template).flatten())
        by_beta = torch.einsum("jv,vck->kjc", self.joint_regressor, self.shapedirs)
        self._keep("_joint_shapedirs", by_beta.flatten(1))
        # Directions for the matrices of all joints, of which the root's do nothing. Most of the others are zero, too:
        # each vertex reacts to the few joints near it. The template is as if all matrices were zero.
        template = self.v_template.reshape(-1, 1)
        if adult is None:
            directions = torch.nn.functional.pad(self._posedirs, (9, 0)).flatten(0, 1)
            diagonals = directions.unflatten(1, (24, 3, 3)).diagonal(dim1=2, dim2=3)
            at_rest = diagonals.double().sum((1, 2))[:, None]
            self._pose_directions = SparseMatrix(directions)
        else:
            at_rest = self.size * (adult.v_template.reshape(-1, 1) - adult._unposed)
            self._pose_directions = adult._pose_directions.times(self.size)
        self._keep("_unposed", (template - at_rest).to(template.dtype))

    def forward(self, rotmat: Tensor, betas: Tensor, transl: Tensor | None = None) -> BodyOutput:
        """Poses the body.

        Always in the precision of the model, since half precision would move the skin by millimetres.

        Args:
            rotmat: (B, 24, 3, 3) rotation of each joint relative to its parent, the root's to the camera.
            betas: (B, 10) shape, in standard deviations.
            transl: (B, 3) metres, added to vertices and joints.
        """
        with torch.autocast(betas.device.type, enabled=False):
            kind = self.v_template.dtype
            shift = None if transl is None else transl.to(kind)
            return self._posed(rotmat.to(kind), betas.to(kind), shift)

    def _posed(self, rotmat: Tensor, betas: Tensor, transl: Tensor | None) -> BodyOutput:
        if self._engine:
            shift = torch.zeros_like(betas[:, :3]) if transl is None else transl
            posed: BodyOutput = self._engine[0](betas, rotmat, shift)
            return posed
        rest = torch.addmm(self._rest_joints, betas, self._joint_shapedirs).view(-1, 24, 3, 1)
        moves = self._kinematics(rotmat, rest)
        if transl is not None:
            moves = moves + torch.nn.functional.pad(transl[:, None, :, None], (3, 0))
        turns, shifts = (part.flatten(0, 1) for part in moves.split([3, 1], dim=3))
        joints = torch.baddbmm(shifts, turns, rest.flatten(0, 1)).view(-1, 24, 3)
        return BodyOutput(self._skin(self.shaped(rotmat, betas), moves), joints)

    def shaped(self, rotmat: Tensor, betas: Tensor) -> Tensor:
        """Adds shape and pose correctives (SMPL, eq. 6 to 9): rest vertices (V, 3, B)."""
        factors = rotmat.flatten(1).T.contiguous()
        if factors.device.type == "cpu":
            corrected = self._pose_directions(factors)
        else:
            corrected = self.posedirs.flatten(0, 1) @ factors[9:]
        shaped = torch.addmm(self._unposed, self.shapedirs.flatten(0, 1), betas.T)
        return (shaped + corrected).unflatten(0, (-1, 3))

    def _kinematics(self, rotmat: Tensor, rest: Tensor) -> Tensor:
        """Computes how each joint moves what it carries: maps [R | t], (B, 24, 3, 4), of the body at rest.

        A joint turns about its place at rest (B, 24, 3, 1), then follows its parent. In each round, maps are chained
        to those of two ancestors, so that two rounds reach the root from everywhere. Maps are 4x4 in between; a
        25th, the identity, stands above the root.
        """
        upright = self._upright.expand(len(rest), 25, 4, 4)
        own = torch.cat([rotmat, rest - rotmat @ rest], 3)
        chained = torch.cat([torch.cat([own, upright[:, 1:, 3:]], 2), upright[:, :1]], 1)
        for above in self._ancestors:
            farther, far = chained.index_select(1, above).chunk(2, dim=1)
            chained = farther @ far @ chained
        return chained[:, :24, :3]

    def _skin(self, shaped: Tensor, moves: Tensor) -> Tensor:
        """Skins by linear blending (SMPL, eq. 2): (V, 3, B) to (B, V, 3).

        With the batch last, all bodies are blended in one product and every step runs along long rows.
        """
        blend = self.weights @ moves.flatten(2).permute(1, 2, 0).reshape(24, -1)
        posed = blend_rows(blend.view(self.num_vertices, 3, 4, -1), shaped)
        return posed.flatten(0, 1).T.contiguous().unflatten(1, (-1, 3))

    def grown(self, template: NDArray[np.float64], age: float) -> "BodyModel":
        """Returns this body at another age, by its mean shape (V, 3) then.

        Betas and pose correctives move the skin in proportion to the height.
        """
        adult = self.v_template.cpu().numpy()
        size = float(np.ptp(template[:, 1]) / np.ptp(adult[:, 1]))
        names = ("joint_regressor", "weights", "faces", "landmark_vertices", "mirror")
        alike = {name: array.cpu().numpy() for name in names if (array := getattr(self, name)) is not None}
        shapedirs = size * self.shapedirs.cpu().numpy()
        return BodyModel(
            name=self.name,
            sha256=self.sha256,
            arrays={"v_template": template, "shapedirs": shapedirs, **alike},
            extras=self._extras,
            uv=self.uv,
            age=age,
            size=size,
            adult=self,
        )

    @property
    def h36m_regressor(self) -> Tensor:
        """Returns the regressor (17, V) of Human3.6M's joints, rows as `joints.H36M`."""
        return self._regressor("h36m_regressor")

    @property
    def extra_regressor(self) -> Tensor:
        """Returns the regressor (9, V) of joints 45 to 53 of `joints.SMPL_54`."""
        return self._regressor("extra_regressor")

    @property
    def levels(self) -> MeshLevels:
        """Returns the mesh and its coarser versions."""
        self._levels = self._levels or self._extras("levels")
        return self._levels

    def kept_vertices(self, level: int) -> Tensor:
        """Returns the vertices of the level before that a level of the mesh keeps."""
        if f"_kept_{level}" not in self._buffers:
            self._keep(f"_kept_{level}", torch.as_tensor(self.levels.down[level - 1]).to(self.faces))
        return self.get_buffer(f"_kept_{level}")

    def _regressor(self, name: str) -> Tensor:
        if f"_{name}" not in self._buffers:
            self._keep(f"_{name}", torch.as_tensor(self._extras(name)).to(self.v_template))
        return self.get_buffer(f"_{name}")

    def h36m_joints(self, vertices: Tensor) -> Tensor:
        """Regresses Human3.6M's joints (B, 17, 3) from vertices (B, V, 3)."""
        return self.h36m_regressor @ vertices

    def smpl_54_joints(self, output: BodyOutput) -> Tensor:
        """Puts together (B, 54, 3): the 24 joints, 21 landmark vertices and 9 regressed joints (`joints.SMPL_54`)."""
        return torch.cat([output.joints, self._surface_regressor @ output.vertices], dim=1)

    @property
    def _surface_regressor(self) -> Tensor:
        """Returns (30, V): the landmark vertices, each a row with one 1, and the extra joints: one product for all."""
        if "_surface" not in self._buffers:
            landmarks = torch.nn.functional.one_hot(self.landmark_vertices, self.num_vertices)
            self._keep("_surface", torch.cat([landmarks.to(self.v_template), self.extra_regressor]))
        return self.get_buffer("_surface")
