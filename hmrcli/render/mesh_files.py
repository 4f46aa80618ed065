"""Bodies as mesh files: glb, obj, ply.

Files hold metres in the viewers' convention (glTF's): x right, y up, z towards the viewer. Camera
coordinates get there by a half turn about x, which changes the signs of y and z: left and right stay.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hmrcli.errors import UsageError
from hmrcli.files import whole_file
from hmrcli.render.rasteriser import Array
from hmrcli.render.shading import vertex_normals

FORMATS = ("glb", "obj", "ply")


def write_mesh(
    path: str | Path,
    people: Array | Sequence[Array],
    faces: Array,
    *,
    names: Sequence[str] | None = None,
    colours: Array | None = None,
) -> Path:
    """Writes one body or several, each vertex kept in its place; the suffix names the format.

    Args:
        path: ends in .glb, .obj or .ply. Its folder is made; a file of that name is replaced in one move.
        people: (V, 3) camera coordinates in metres, or a sequence of such arrays.
        faces: (F, 3) indices, the same for everyone.
        names: of the people, in glb and obj (a ply file is one mesh); `person_0`, ... when not given.
        colours: (3,), (N, 3) one for each person, in [0, 1] sRGB; light grey when not given.

    Returns:
        The path written.

    Raises:
        UsageError: the suffix is none of the three.
        ValueError: `names` or `colours` are not as many as the people.
    """
    path = Path(path)
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise UsageError(f"{path}: a mesh file ends in .{', .'.join(FORMATS[:-1])} or .{FORMATS[-1]}")
    bodies = [people] if isinstance(people, np.ndarray) and people.ndim == 2 else list(people)
    names = [f"person_{i}" for i in range(len(bodies))] if names is None else list(names)
    if len(set(names)) != len(bodies):
        raise ValueError(f"{len(bodies)} people need as many different names, got {names}")
    tints = np.broadcast_to(0.75 if colours is None else colours, (len(bodies), 3))

    content = _export(bodies, np.asarray(faces), names, tints, suffix)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def _export(bodies: list[Array], faces: Array, names: list[str], tints: Array, suffix: str) -> bytes:
    import trimesh
    from trimesh.exchange.ply import export_ply
    from trimesh.visual import ColorVisuals

    meshes = []
    for body, tint in zip(bodies, tints, strict=True):
        rgba = np.append(np.rint(np.clip(tint, 0, 1) * 255), 255).astype(np.uint8)
        vertices = body * (1.0, -1.0, -1.0)
        mesh = trimesh.Trimesh(vertices, faces, vertex_normals=vertex_normals(vertices, faces), process=False)
        mesh.visual = ColorVisuals(mesh, vertex_colors=np.tile(rgba, (len(vertices), 1)))
        meshes.append(mesh)
    if suffix == "ply":
        return bytes(export_ply(trimesh.util.concatenate(meshes), vertex_normal=False))
    scene = trimesh.Scene()
    for name, mesh in zip(names, meshes, strict=True):
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    # Text triples in size with normals, which readers make themselves.
    written = scene.export(file_type=suffix, include_normals=suffix == "glb")
    return written if isinstance(written, bytes) else written.encode()
