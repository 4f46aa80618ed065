"""From MakeHuman's relaxed A-pose and 163 bones to SMPL's T-pose, 24 joints and skin weights."""

import numpy as np
from makehuman import Array, Rig

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
SWAP = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
MIRROR = np.array([-1.0, 1.0, 1.0])


def cross_matrix(v: Array) -> Array:
    """(..., 3) to (..., 3, 3): the matrix that takes the cross product with v."""
    zero = np.zeros_like(v[..., 0])
    x, y, z = np.moveaxis(v, -1, 0)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape[:-1], 3, 3)


def unit(v: Array) -> Array:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def rotation_between(source: Array, target: Array) -> Array:
    """The smallest rotations that turn directions `source` (..., 3) into `target` (..., 3)."""
    source, target = np.broadcast_arrays(unit(source), unit(target))
    k = cross_matrix(np.cross(source, target))
    cosine = (source * target).sum(-1)[..., None, None]
    return np.eye(3) + k + k @ k / (1 + cosine)


def rotation_about(axis: tuple[float, float, float], angle: Array) -> Array:
    k = cross_matrix(unit(np.array(axis)))
    angle = np.asarray(angle)[..., None, None]
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def _turn(rotation: Array, vector: Array) -> Array:
    return (rotation @ vector[..., None])[..., 0]


def _limb_rotations(heads: dict[str, Array], side: str) -> dict[str, Array]:
    """World rotations (N, 3, 3) of the bones of one side that the T-pose turns."""
    s = 1.0 if side == "L" else -1.0

    def bone(start: str, end: str) -> Array:
        return heads[f"{end}.{side}"] - heads[f"{start}.{side}"]

    count = len(heads["root"])
    collar = rotation_about((0, 0, 1), np.full(count, s * np.radians(8)))
    blade = rotation_about((0, 0, 1), np.full(count, s * np.radians(18)))
    outward = np.array([s, 0.0, 0.0])
    upper = rotation_between(_turn(blade, bone("upperarm01", "lowerarm01")), outward) @ blade
    lower = rotation_between(_turn(upper, bone("lowerarm01", "wrist")), outward) @ upper
    hand = rotation_between(_turn(lower, bone("wrist", "finger3-1")), outward) @ lower
    # Palm down: the knuckles' line, little finger to index, must point forward. The twist that this takes
    # is spread over the arm, as a forearm does.
    knuckles = _turn(hand, bone("finger5-1", "finger2-1"))
    twist = np.arctan2(knuckles[:, 1], knuckles[:, 2])

    def twisted(share: float, rotation: Array) -> Array:
        return rotation_about((1, 0, 0), share * twist) @ rotation

    turned = {
        "clavicle": collar,
        "shoulder01": blade,
        "upperarm01": upper,
        "upperarm02": twisted(0.15, upper),
        "lowerarm01": twisted(0.35, lower),
        "lowerarm02": twisted(0.75, lower),
        "wrist": twisted(1.0, hand),
    }
    for finger in (2, 3, 4, 5):  # most of the way to straight
        rotation = turned["wrist"]
        straight = np.array([s, -0.12, 0.06 * (3.5 - finger)])
        for joint, share in ((1, 0.75), (2, 0.8), (3, 0.8)):
            ends = (joint, joint + 1) if joint < 3 else (joint - 1, joint)
            along = unit(_turn(rotation, bone(f"finger{finger}-{ends[0]}", f"finger{finger}-{ends[1]}")))
            rotation = rotation_between(along, (1 - share) * along + share * unit(straight)) @ rotation
            turned[f"finger{finger}-{joint}"] = rotation
    thigh = rotation_between(bone("upperleg01", "lowerleg01"), np.array([s * 0.07, -1.0, 0.0]))
    shin = rotation_between(_turn(thigh, bone("lowerleg01", "foot")), np.array([0.0, -1.0, -0.045])) @ thigh
    sole = bone("foot", "toe3-1")  # feet keep their pitch, and point 6 degrees outward
    foot = rotation_about((0, 1, 0), s * np.radians(6) - np.arctan2(sole[:, 0], sole[:, 2]))
    turned |= {"upperleg01": thigh, "upperleg02": thigh, "lowerleg01": shin, "lowerleg02": shin, "foot": foot}
    return {f"{name}.{side}": rotation for name, rotation in turned.items()}


def t_pose(rig: Rig, heads: Array) -> tuple[Array, Array, Array]:
    """Turns every person's bones into the T-pose; the same directions for every shape.

    Args:
        heads: (N, bones, 3) bone heads in the A-pose.

    Returns:
        (N, bones, 3, 3) rotations, (N, bones, 3) translations of the skin, (N, bones, 3) moved heads.
    """
    named = {name: heads[:, i] for i, name in enumerate(rig.names)}
    turned = _limb_rotations(named, "L") | _limb_rotations(named, "R")
    rotations = np.zeros((*heads.shape, 3))
    moved = np.zeros_like(heads)
    for i, (name, parent) in enumerate(zip(rig.names, rig.parents)):
        if parent < 0:
            rotations[:, i], moved[:, i] = np.eye(3), heads[:, i]
            continue
        rotations[:, i] = turned.get(name, rotations[:, parent])
        moved[:, i] = moved[:, parent] + _turn(rotations[:, parent], heads[:, i] - heads[:, parent])
    return rotations, moved - _turn(rotations, heads), moved


def skin(vertices: Array, weights: Array, rotations: Array, translations: Array) -> Array:
    """Linear blend skinning of one person: (V, 3), (V, bones), (bones, 3, 3), (bones, 3) to (V, 3)."""
    blend = weights @ np.concatenate([rotations, translations[..., None]], -1).reshape(len(rotations), 12)
    blend = blend.reshape(-1, 3, 4)
    return _turn(blend[..., :3], vertices) + blend[..., 3]


def smpl_joint(bone: str, rig: Rig) -> int:
    """The SMPL joint that carries a bone's skin; bones of face and breasts follow their ancestors."""
    name, _, side = bone.partition(".")
    right = side == "R"
    for prefix, joint in (
        ("spine03", 3),
        ("spine02", 6),
        ("spine01", 9),
        ("neck03", 15),
        ("neck", 12),
        ("head", 15),
    ):
        if name.startswith(prefix):
            return joint
    for prefix, joint in (
        ("upperleg", 1),
        ("lowerleg", 4),
        ("foot", 7),
        ("toe", 10),
        ("clavicle", 13),
        ("shoulder", 13),
        ("upperarm", 16),
        ("lowerarm", 18),
        ("wrist", 20),
        ("metacarpal", 20),
        ("finger1-1", 20),
        ("finger", 22),
    ):
        if name.startswith(prefix):
            return joint + right
    if name in ("root", "pelvis", "spine05", "spine04"):
        return 0
    return smpl_joint(rig.names[rig.parents[rig.names.index(bone)]], rig)


def smpl_weights(rig: Rig) -> Array:
    """(base vertices, 24) skin weights of SMPL's joints."""
    weights = np.zeros((len(rig.weights), 24))
    for bone, name in enumerate(rig.names):
        weights[:, smpl_joint(name, rig)] += rig.weights[:, bone]
    return weights


def _sided(named: dict[str, Array], left: str, *more: str, share: float = 0.0) -> list[Array]:
    """Left and right positions of a bone's head, or (one `share` given) a point between two."""
    return [
        (1 - share) * named[f"{left}.{side}"] + (share * named[f"{more[0]}.{side}"] if more else 0)
        for side in "LR"
    ]


def smpl_joints(rig: Rig, heads: Array) -> Array:
    """(N, bones, 3) bone heads to (N, 24, 3) SMPL joints."""
    b = {name: heads[:, i] for i, name in enumerate(rig.names)}

    def mean(*names: str) -> list[Array]:
        return [np.mean([b[f"{name}.{side}"] for name in names], axis=0) for side in "LR"]

    return np.stack(
        [
            (b["root"] + b["spine04"]) / 2,
            *mean("upperleg01"),
            b["spine03"],
            *mean("lowerleg01"),
            b["spine02"],
            *mean("foot"),
            b["spine01"],
            *mean(*(f"toe{i}-1" for i in range(1, 6))),
            b["neck01"],
            *_sided(b, "clavicle", "shoulder01", share=0.6),
            (b["neck03"] + b["head"]) / 2,
            *mean("upperarm01"),
            *mean("lowerarm01"),
            *mean("wrist"),
            *mean(*(f"finger{i}-1" for i in range(2, 6))),
        ],
        axis=1,
    )
