"""The compiled inner loop of drawing poses: where a body goes, and whether it passes through itself.

Import this module only where poses are drawn: it imports numba, and the first call of a function compiles it.
"""

import math

import numpy as np

from hmrcli.body.joints import PARENTS
from hmrcli.render.kernels import compiled, compiled_with_arrays


@compiled
def rotation_matrix(vector, out):  # type: ignore[no-untyped-def]
    """Axis-angle (3,) in radians to (3, 3), by Rodrigues' formula."""
    angle = math.sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]) + 1e-12
    x, y, z = vector[0] / angle, vector[1] / angle, vector[2] / angle
    sine, cosine = math.sin(angle), math.cos(angle)
    rest = 1.0 - cosine
    out[0, 0], out[0, 1], out[0, 2] = cosine + rest * x * x, rest * x * y - sine * z, rest * x * z + sine * y
    out[1, 0], out[1, 1], out[1, 2] = rest * x * y + sine * z, cosine + rest * y * y, rest * y * z - sine * x
    out[2, 0], out[2, 1], out[2, 2] = rest * x * z - sine * y, rest * y * z + sine * x, cosine + rest * z * z


@compiled_with_arrays
def sphere_places(bones, joint, centre, pose):  # type: ignore[no-untyped-def]
    """(S, 3) centres of spheres of a body in a pose (24, 3), its root at the origin."""
    turns, places, local = np.zeros((24, 3, 3)), np.zeros((24, 3)), np.zeros((3, 3))
    rotation_matrix(pose[0], turns[0])
    for j in range(1, 24):
        parent = PARENTS[j]
        rotation_matrix(pose[j], local)
        for a in range(3):
            places[j, a] = places[parent, a]
            for b in range(3):
                places[j, a] += turns[parent, a, b] * bones[j, b]
                for c in range(3):
                    turns[j, a, c] += turns[parent, a, b] * local[b, c]
    out = np.zeros((len(joint), 3))
    for s in range(len(joint)):
        for a in range(3):
            out[s, a] = places[joint[s], a]
            for b in range(3):
                out[s, a] += turns[joint[s], a, b] * centre[s, b]
    return out


@compiled_with_arrays
def passes_through(bones, joint, centre, squared_gap, pose):  # type: ignore[no-untyped-def]
    """Whether two spheres of a body in a pose (24, 3) are nearer than they may be."""
    at = sphere_places(bones, joint, centre, pose)
    for s in range(len(at)):
        for t in range(s):
            x, y, z = at[s, 0] - at[t, 0], at[s, 1] - at[t, 1], at[s, 2] - at[t, 2]
            if x * x + y * y + z * z < squared_gap[s, t]:
                return True
    return False
