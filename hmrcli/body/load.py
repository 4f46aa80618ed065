"""Reads body models: the bundled open body, and SMPL files that the user obtained from its authors."""

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hmrcli.assets.bundled import bundled
from hmrcli.assets.npz import read_npy, read_npz
from hmrcli.assets.pickles import SparseMatrix, read_pickle
from hmrcli.body.joints import LANDMARKS, PARENTS
from hmrcli.body.levels import Interpolation, MeshLevels, edges_of, read_published_levels
from hmrcli.body.model import BodyModel, BodyOutput, TextureMap
from hmrcli.errors import BadInput, MissingFile
from hmrcli.files import damage, sha256

_SMPL_FIELDS = {
    # stored name: (name in BodyModel, shape with V vertices and F faces)
    "v_template": ("v_template", ("V", 3)),
    "shapedirs": ("shapedirs", ("V", 3, "10 or more")),
    "posedirs": ("posedirs", ("V", 3, 207)),
    "J_regressor": ("joint_regressor", (24, "V")),
    "weights": ("weights", ("V", 24)),
    "f": ("faces", ("F", 3)),
}


def load_body(source: str | Path = "open", *, assets_dir: Path | None = None) -> BodyModel:
    """Reads a body model.

    Args:
        source: "open" for the bundled body, or the path of an SMPL file (.pkl or .npz).
        assets_dir: folder of SMPL's joint regressors and mesh levels, which are read when first needed.
            By default the folder above `smpl/`, as the data root lays it out.

    Raises:
        MissingFile: the file is not there; the message says how to obtain it.
        BadInput: the file is damaged, or a field is missing or has a wrong shape.
    """
    path = bundled("body/open_body.npz") if source == "open" else Path(source)
    if not path.is_file():
        raise MissingFile(
            f"body model {path} not found. SMPL is free for research but licensed: register at "
            "https://smpl.is.tue.mpg.de, accept its licence, download it, then run "
            f"`hmr download body --from-file {path.name}` (or use --body-model open, which needs no licence)"
        )
    if path.suffix not in (".npz", ".pkl"):
        raise BadInput(f"{path}: a body model must be a .npz or .pkl file")
    stored = read_npz(path) if path.suffix == ".npz" else read_pickle(path)
    if not isinstance(stored, Mapping):
        raise BadInput(f"{path}: expected a dictionary of SMPL's fields, found {type(stored).__name__}")
    try:
        arrays = _checked(stored, path)
    except BadInput:
        if other := _other(stored):
            raise BadInput(f"{path}: is {other}; {_EXPECTED}") from None
        raise
    if "metadata" in stored:
        with damage(f"{path}: is no complete body in the layout of the bundled one ({{}}); {_EXPECTED}"):
            return _open_body(stored, arrays, sha256(path))
    folder = assets_dir or (path.parent.parent if path.parent.name == "smpl" else path.parent)
    vertices, landmarks = len(arrays["v_template"]), np.array(list(LANDMARKS.values()))
    if vertices <= landmarks.max():
        raise BadInput(f"{path}: field v_template has {vertices} vertices, expected SMPL's 6890")
    return BodyModel(
        name="smpl",
        sha256=sha256(path),
        arrays=arrays | {"landmark_vertices": landmarks},
        extras=_published_extras(folder, vertices),
        engine=SmplxEngine(arrays),
    )


def _other(stored: Mapping[str, Any]) -> str:
    """Says what a file is that is no SMPL body; empty where that is not known."""

    def shape(field: str) -> tuple[int, ...]:
        try:
            return np.shape(value if hasattr(value := stored[field], "shape") else ())
        except (BadInput, KeyError):
            return ()

    vertices, joints = shape("v_template")[:1], (shape("weights")[1:2] or shape("kintree_table")[1:2])
    if shape("posedirs")[2:] == (93,):
        return "a STAR body (pose correctives of quaternions, 93)"
    for name, counts in _OTHERS.items():
        if (*vertices, *joints) == counts:
            return f"{name} model ({counts[0]} vertices, {counts[1]} joints)"
    return next((name for name, fields in _OTHER_FIELDS.items() if set(fields) <= set(stored)), "")


_OTHERS = {
    "an SMPL-X": (10475, 55),
    "a SUPR": (10475, 75),
    "an SMPL-H": (6890, 52),
    "a MANO hand": (778, 16),
    "a FLAME head": (5023, 5),
}
_OTHER_FIELDS = {
    "an SMPL-X model": ("hands_componentsl", "lmk_faces_idx"),
    "an SMPL-H model": ("hands_componentsl",),
    "a MANO hand model": ("hands_components",),
    "a sequence of 3DPW": ("jointPositions", "poses2d"),
    "a motion, as AMASS has them": ("poses", "trans"),
    "a pose prior": ("means", "covars"),
}
_EXPECTED = (
    "expected SMPL itself (6890 vertices, 24 joints), such as SMPL_NEUTRAL.pkl from https://smpl.is.tue.mpg.de, "
    "or --body-model open"
)


def _checked(stored: Mapping[str, Any], path: Path) -> dict[str, NDArray[Any]]:
    """Returns SMPL's fields as BodyModel names them, each of the right shape and kind."""
    arrays: dict[str, NDArray[Any]] = {}
    vertices: int | None = None
    for field, (name, shape) in _SMPL_FIELDS.items():
        array = _numbers(stored, field, path)
        vertices = len(array) if vertices is None and array.ndim else vertices
        wanted = tuple(vertices if n == "V" else n for n in shape)
        fits = len(wanted) == array.ndim and all(
            n == have or n == "F" or (n == "10 or more" and have >= 10)
            for n, have in zip(wanted, array.shape)
        )
        if not fits:
            text = ", ".join(map(str, wanted))
            raise BadInput(f"{path}: field {field} has shape {array.shape}, expected ({text})")
        arrays[name] = array
    arrays["shapedirs"] = arrays["shapedirs"][:, :, :10]
    faces = arrays["faces"].astype(np.int64)
    if vertices is None or faces.min(initial=0) < 0 or faces.max(initial=0) >= vertices:
        raise BadInput(f"{path}: field f names vertices outside 0 to {(vertices or 0) - 1}")
    arrays["faces"] = faces
    if not np.allclose(arrays["weights"].sum(1), 1, atol=1e-3):
        raise BadInput(f"{path}: field weights must sum to 1 for every vertex")
    tree = _numbers(stored, "kintree_table", path)
    if tree.shape != (2, 24) or tuple(tree[0, 1:].astype(np.int64)) != PARENTS[1:]:
        raise BadInput(f"{path}: field kintree_table must be SMPL's tree of 24 joints, shape (2, 24)")
    return arrays


def _numbers(stored: Mapping[str, Any], field: str, path: Path) -> NDArray[Any]:
    if field not in stored:
        raise BadInput(f"{path}: field {field} is missing; this is not a complete SMPL model file")
    value = stored[field]
    if isinstance(value, SparseMatrix):
        value = value.toarray()
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise BadInput(f"{path}: field {field} has type {array.dtype}, expected numbers")
    if not np.isfinite(array).all():
        raise BadInput(f"{path}: field {field} holds values that are not finite")
    return array


def _open_body(stored: Mapping[str, Any], arrays: dict[str, NDArray[Any]], digest: str) -> BodyModel:
    vertices = len(arrays["v_template"])
    sizes = (vertices, len(stored["level1_kept"]), len(stored["level2_kept"]))
    faces = (arrays["faces"], *(_below(sizes[n], stored[f"level{n}_faces"]) for n in (1, 2)))
    ups = [(_below(sizes[n], stored[f"level{n}_up_index"]), stored[f"level{n}_up_weight"]) for n in (1, 2)]
    downs = [_below(sizes[n - 1], stored[f"level{n}_kept"]) for n in (1, 2)]
    regressors = {name: stored[name] for name in ("h36m_regressor", "extra_regressor")}

    def extras(name: str) -> Any:
        if name != "levels":
            return regressors[name]
        edges = tuple(map(edges_of, faces))
        return MeshLevels(sizes, tuple(downs), tuple(Interpolation(*up) for up in ups), edges)

    return BodyModel(
        name=json.loads(str(stored["metadata"]))["name"],
        sha256=digest,
        arrays=arrays | {name: _below(vertices, stored[name]) for name in ("landmark_vertices", "mirror")},
        extras=extras,
        uv=TextureMap(texture := stored["vt"], _below(len(texture), stored["ft"])),
    )


def _below(limit: int, stored: NDArray[Any]) -> NDArray[np.int64]:
    """Reads stored indices, which must lie from 0 to below `limit`."""
    indices = stored.astype(np.int64)
    if indices.min(initial=0) < 0 or indices.max(initial=0) >= limit:
        raise ValueError(f"an index lies outside 0 to {limit - 1}")
    return indices


def _published_extras(folder: Path, vertices: int) -> Callable[[str], Any]:
    """Reads what SMPL files lack from the files that GraphCMR and SPIN published beside them."""
    files = {
        "h36m_regressor": ("J_regressor_h36m.npy", 17),
        "extra_regressor": ("J_regressor_extra.npy", 9),
        "levels": ("mesh_downsampling.npz", 0),
    }

    def read(name: str) -> Any:
        file, rows = files[name]
        path = folder / file
        if not path.is_file():
            raise MissingFile(f"{path} not found; it goes with SMPL: run `hmr download body`")
        if name == "levels":
            return read_published_levels(path)
        regressor = np.asarray(read_npy(path))
        if name == "extra_regressor" and len(regressor) == 14:
            regressor = regressor[5:]  # GraphCMR's file starts with five landmark vertices
        if regressor.shape != (rows, vertices) or regressor.dtype.kind != "f":
            raise BadInput(f"{path}: expected numbers of shape ({rows}, {vertices}), found {regressor.shape}")
        return regressor

    return read


class SmplxEngine(nn.Module):
    """SMPL's authors' own code, which its licence goes with; imported for their files only."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        super().__init__()
        import smplx

        fields = {field: arrays[name].astype(np.float32) for field, (name, _) in _SMPL_FIELDS.items()}
        fields["f"] = arrays["faces"]
        fields["kintree_table"] = np.array([PARENTS, range(24)])
        parameters = ("betas", "body_pose", "global_orient", "transl")
        without, data = {f"create_{name}": False for name in parameters}, smplx.utils.Struct(**fields)
        with contextlib.redirect_stdout(io.StringIO()):  # it remarks on the number of betas
            self.smpl = smplx.SMPL(model_path="", data_struct=data, **without)

    def forward(self, betas: Tensor, rotmat: Tensor, transl: Tensor) -> BodyOutput:
        """Poses the body as `BodyModel.forward` does."""
        root, pose = rotmat[:, :1], rotmat[:, 1:]
        output = self.smpl(betas=betas, global_orient=root, body_pose=pose, transl=transl, pose2rot=False)
        return BodyOutput(output.vertices, torch.narrow(output.joints, 1, 0, 24))
