"""Pose correctives, so that linear blend skinning moves the skin as a better but slower skinning does.

For sampled poses the body is skinned with dual quaternions (Kavan et al., "Geometric skinning with
approximate dual quaternion blending", 2008), which keep a twisted forearm or a bent hip full, and then
relaxed with delta mush (Mancewicz et al., "Delta Mush", 2014), which takes out the bulges and creases that
skinning leaves. The offsets from linear blend skinning, carried back to the rest pose, are regressed on the
joints' rotation matrices minus identity: SMPL's posedirs. No scan and no body model of others takes part.
"""

import numpy as np
from body_pose import MIRROR, PARENTS, SWAP
from makehuman import Array, Index
from scipy.sparse import coo_array
from scipy.spatial.transform import Rotation

from hmrcli.body.levels import edges_of

POSES = 1500
LARGEST = 0.05  # metres: an offset beyond this is a fault of the target, not of the skin
SMALLEST = 3e-4  # metres: what stays below is stored as zero
STEP = 2e-4  # metres: offsets are rounded to it, which keeps the file small
MUSH_STEPS = 6
RIDGE = 5.0


def sample_poses(rng: np.random.Generator) -> Array:
    """(POSES, 24, 3) axis-angle within rough joint limits, the large joints along their anatomical axes."""
    degrees = [0, 60, 60, 25, 80, 80, 25, 30, 30, 25, 20, 20, 35, 20, 20, 30, 65, 65, 75, 75, 45, 45, 20, 20]
    axes = rng.normal(size=(POSES, 24, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    moving = rng.uniform(size=(POSES, 24)) < 0.8
    poses = axes * (rng.uniform(size=(POSES, 24)) * np.radians(degrees) * moving)[..., None]

    def between(low: float, high: float) -> Array:
        return rng.uniform(low, high, POSES)

    still = np.zeros(POSES)
    for side, right in ((1, 0), (-1, 1)):
        hip, knee, shoulder, elbow = 1 + right, 4 + right, 16 + right, 18 + right
        poses[:, hip, 0] += between(-1.9, 0.4)
        poses[:, knee] = 0.15 * poses[:, knee] + np.stack([between(0, 2.3), still, still], 1)
        poses[:, shoulder, 1] -= side * between(-0.3, 1.4)
        poses[:, shoulder, 2] -= side * between(-1.1, 1.3)
        bend = np.stack([between(-1.2, 1.2), -side * between(0, 2.3), still], 1)
        poses[:, elbow] = 0.1 * poses[:, elbow] + bend
        poses[:, 20 + right, 0] += between(-1.2, 1.2)
    return poses


def skin_motion(rotations: Array, joints: Array) -> tuple[Array, Array]:
    """World rotations (24, 3, 3) and translations (24, 3) of the skin of each joint."""
    turned, placed = [rotations[0]], [joints[0]]
    for joint, parent in enumerate(PARENTS[1:], 1):
        placed.append(placed[parent] + turned[parent] @ (joints[joint] - joints[parent]))
        turned.append(turned[parent] @ rotations[joint])
    world = np.stack(turned)
    return world, np.stack(placed) - np.einsum("jab,jb->ja", world, joints)


def _product(a: Array, b: Array) -> Array:
    """Quaternion product, scalar first."""
    scalar = a[..., :1] * b[..., :1] - (a[..., 1:] * b[..., 1:]).sum(-1, keepdims=True)
    vector = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return np.concatenate([scalar, vector], -1)


def dual_quaternion_skin(vertices: Array, weights: Array, world: Array, moves: Array) -> Array:
    """(V, 3) vertices under blended dual quaternions (Kavan et al. 2008, algorithm 1)."""
    real = Rotation.from_matrix(world).as_quat()[:, [3, 0, 1, 2]]
    for joint, parent in enumerate(PARENTS[1:], 1):
        real[joint] *= 1 if real[joint] @ real[parent] >= 0 else -1
    dual = 0.5 * _product(np.column_stack([np.zeros(24), moves]), real)
    main = real[weights.argmax(1)]
    signed = weights * np.where(main @ real.T >= 0, 1, -1)
    q, d = signed @ real, signed @ dual
    length = np.linalg.norm(q, axis=1, keepdims=True)
    q, d = q / length, d / length
    w, u = q[:, :1], q[:, 1:]
    turned = vertices + 2 * np.cross(u, np.cross(u, vertices) + w * vertices)
    return turned + 2 * (w * d[:, 1:] - d[:, :1] * u + np.cross(u, d[:, 1:]))


class DeltaMush:
    """Smooths a posed surface and puts the rest pose's detail back on in the turned local frames."""

    def __init__(self, rest: Array, faces: Index) -> None:
        edges = edges_of(faces)
        count = len(rest)
        degree = np.bincount(edges[0], minlength=count)
        self.average = coo_array((1 / degree[edges[0]], (edges[0], edges[1])), (count, count)).tocsr()
        self.faces = faces
        self.neighbour = edges[1][np.searchsorted(edges[0], np.arange(count))]
        smooth = self._smooth(rest)
        self.detail = np.einsum("vab,va->vb", self._frames(smooth), rest - smooth)

    def _smooth(self, vertices: Array) -> Array:
        for _ in range(MUSH_STEPS):
            vertices = 0.5 * vertices + 0.5 * (self.average @ vertices)
        return vertices

    def _frames(self, vertices: Array) -> Array:
        a, b, c = (vertices[self.faces[:, i]] for i in range(3))
        flat = np.cross(b - a, c - a)
        normal = np.zeros_like(vertices)
        for i in range(3):
            np.add.at(normal, self.faces[:, i], flat)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-15
        along = vertices[self.neighbour] - vertices
        side = np.cross(normal, along)
        side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-15
        return np.stack([np.cross(side, normal), side, normal], -1)

    def relax(self, posed: Array) -> Array:
        """(V, 3) the posed surface without bulges and creases."""
        smooth = self._smooth(posed)
        return smooth + np.einsum("vab,vb->va", self._frames(smooth), self.detail)


def _offsets(template: Array, weights: Array, world: Array, moves: Array, mush: DeltaMush) -> Array:
    """(V, 3) offsets in the rest pose that take linear blend skinning to the better skinning."""
    target = mush.relax(dual_quaternion_skin(template, weights, world, moves))
    blend = (weights @ np.concatenate([world, moves[..., None]], -1).reshape(24, 12)).reshape(-1, 3, 4)
    unposed = np.linalg.solve(blend[..., :3], (target - blend[..., 3])[..., None])[..., 0]
    offset = unposed - template
    length = np.linalg.norm(offset, axis=1, keepdims=True)
    return offset * np.minimum(1, LARGEST / np.maximum(length, 1e-9))


def distil(template: Array, joints: Array, weights: Array, faces: Index, mirror: Index) -> Array:
    """(V, 3, 207) pose directions; a vertex reacts only to joints that carry it."""
    rotations = Rotation.from_rotvec(sample_poses(np.random.default_rng(2)).reshape(-1, 3)).as_matrix()
    rotations = rotations.reshape(POSES, 24, 3, 3)
    mush = DeltaMush(template, faces)
    wanted = np.stack(
        [_offsets(template, weights, *skin_motion(r, joints), mush).astype(np.float32) for r in rotations]
    )
    features = (rotations[:, 1:] - np.eye(3)).reshape(POSES, 23, 9)
    directions = np.zeros((len(template), 3, 23, 9))
    carriers, group = np.unique(weights[:, 1:] > 0.01, axis=0, return_inverse=True)
    for number, carrier in enumerate(carriers):
        members = np.flatnonzero(group.reshape(-1) == number)
        chosen = np.flatnonzero(carrier)
        if len(chosen):
            inputs = features[:, chosen].reshape(POSES, -1)
            normal = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
            solved = np.linalg.solve(normal, inputs.T @ wanted[:, members].reshape(POSES, -1))
            solved = solved.reshape(len(chosen), 9, len(members), 3).transpose(2, 3, 0, 1)
            directions[np.ix_(members, np.arange(3), chosen)] = solved
    both = (directions + _mirrored(directions, mirror)) / 2
    both[np.abs(both) < SMALLEST] = 0
    rounded = (np.round(both / STEP) * STEP).reshape(-1, 3, 207)
    left = wanted - np.einsum("vcf,nf->nvc", rounded, features.reshape(POSES, 207))
    print(
        f"correctives: offsets of {1e3 * np.linalg.norm(wanted, axis=-1).mean():.2f} mm on average, "
        f"{1e3 * np.linalg.norm(left, axis=-1).mean():.2f} mm left; {(rounded != 0).mean():.1%} non-zero"
    )
    return rounded


def _mirrored(directions: Array, mirror: Index) -> Array:
    """The directions of the mirrored body: R becomes M R M with M = diag(-1, 1, 1)."""
    joints = [joint - 1 for joint in SWAP[1:]]
    flips = np.outer(MIRROR, MIRROR).reshape(9)
    return directions[mirror][:, :, joints] * MIRROR[:, None, None] * flips
