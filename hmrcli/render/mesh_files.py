"""Bodies as mesh files: glb, obj, ply.

Files hold metres in the viewers' convention (glTF's): x right, y up, z towards the viewer. Camera
coordinates get there by a half turn about x, which changes the signs of y and z: left and right stay.
"""

from pathlib import Path

import numpy as np

from hmrcli.errors import UsageError
from hmrcli.files import whole_file
from hmrcli.render.rasteriser import Array
from hmrcli.render.shading import vertex_normals

FORMATS = ("glb", "obj", "ply")


def write_mesh(path: str | Path, vertices: Array, faces: Array, colour: Array | None = None) -> Path:
    """Writes one body, each vertex kept in its place; the suffix names the format, the stem the mesh.

    Args:
        path: ends in .glb, .obj or .ply. Its folder is made; a file of that name is replaced in one move.
        vertices: (V, 3) camera coordinates in metres.
        faces: (F, 3) indices.
        colour: (3,) in [0, 1] sRGB; light grey when not given.

    Returns:
        The path written.

    Raises:
        UsageError: the suffix is none of the three.
    """
    path = Path(path)
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise UsageError(f"{path}: a mesh file ends in .{', .'.join(FORMATS[:-1])} or .{FORMATS[-1]}")
    # A mesh file's text is UTF-8, which names of files need not be.
    name = path.stem.encode(errors="backslashreplace").decode()
    content = _export(vertices * (1.0, -1.0, -1.0), np.asarray(faces), name, colour, suffix)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def _export(vertices: Array, faces: Array, name: str, colour: Array | None, suffix: str) -> bytes:
    import trimesh
    from trimesh.exchange.ply import export_ply
    from trimesh.visual import ColorVisuals

    tint = np.full(3, 0.75) if colour is None else colour
    rgba = np.append(np.rint(np.clip(tint, 0, 1) * 255), 255).astype(np.uint8)
    mesh = trimesh.Trimesh(vertices, faces, vertex_normals=vertex_normals(vertices, faces), process=False)
    mesh.visual = ColorVisuals(mesh, vertex_colors=np.tile(rgba, (len(vertices), 1)))
    if suffix == "ply":
        return bytes(export_ply(mesh, vertex_normal=False))
    scene = trimesh.Scene()
    scene.add_geometry(mesh, node_name=name, geom_name=name)
    # Text triples in size with normals, which readers make themselves.
    written = scene.export(file_type=suffix, include_normals=suffix == "glb")
    return written if isinstance(written, bytes) else written.encode()
