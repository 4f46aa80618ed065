"""Bodies as mesh files: glb, obj, ply.

Files hold metres in the viewers' convention (glTF's): x right, y up, z towards the viewer. Camera
coordinates get there by a half turn about x, which changes the signs of y and z: left and right stay.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hmrcli.body.texture import CutMesh
from hmrcli.errors import UsageError
from hmrcli.files import whole_file
from hmrcli.render.glb import Glb
from hmrcli.render.rasteriser import Array
from hmrcli.render.shading import vertex_normals

FORMATS = ("glb", "obj", "ply")
VIEWERS = np.array([1.0, -1.0, -1.0])
"""Signs by which camera coordinates become the viewers'."""
GREY = np.full(3, 0.75)


def write_mesh(
    path: str | Path,
    vertices: Array,
    mesh: CutMesh,
    colour: Array | None = None,
    about: Mapping[str, str] | None = None,
) -> Path:
    """Writes one body, each vertex kept in its place; the suffix names the format, the stem the mesh.

    In a glb, vertices on the seams of the texture are repeated after the last. The folder is made, and a file
    of that name replaced in one move.

    Args:
        path: ends in .glb, .obj or .ply; it is returned.
        vertices: (V, 3) camera coordinates in metres.
        mesh: faces and texture coordinates.
        colour: (3,) in [0, 1] sRGB; light grey when not given.
        about: sentences on the content that go into the file.

    Raises:
        UsageError: the suffix is none of the three.
    """
    path = Path(path)
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        raise UsageError(f"{path}: a mesh file ends in .{', .'.join(FORMATS[:-1])} or .{FORMATS[-1]}")
    tint = GREY if colour is None else np.asarray(colour)
    export = _glb if suffix == "glb" else _text
    content = export(vertices * VIEWERS, mesh, tint, about or {}, path)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def text_name(path: Path) -> str:
    """Returns the stem as the text that files hold, which names of files need not be."""
    return path.stem.encode(errors="backslashreplace").decode()


def _glb(points: Array, mesh: CutMesh, tint: Array, about: Mapping[str, str], path: Path) -> bytes:
    glb, name = Glb(about), text_name(path)
    primitive = glb.skin(points, mesh, glb.material("skin", tint))
    glb.add_to_scene({"name": name, "mesh": glb.add("meshes", {"name": name, "primitives": [primitive]})})
    return glb.content()


def _text(points: Array, mesh: CutMesh, tint: Array, about: Mapping[str, str], path: Path) -> bytes:
    """Returns an obj or a ply with the body's own vertices and their colour."""
    import trimesh
    from trimesh.exchange.obj import export_obj
    from trimesh.exchange.ply import export_ply
    from trimesh.visual import ColorVisuals

    faces = mesh.source[mesh.faces]
    rgba = np.append(np.rint(np.clip(tint, 0, 1) * 255), 255).astype(np.uint8)
    body = trimesh.Trimesh(points, faces, vertex_normals=vertex_normals(points, faces), process=False)
    body.visual = ColorVisuals(body, vertex_colors=np.tile(rgba, (len(points), 1)))
    said = [f"{name}: {json.dumps(text)[1:-1]}" for name, text in about.items()]
    if path.suffix.lower() == ".ply":
        head, _, rest = bytes(export_ply(body, vertex_normal=False)).partition(b"\nelement ")
        comments = "".join(f"\ncomment {line}" for line in said).encode()
        return head + comments + b"\nelement " + rest
    # Text triples in size with normals, which readers make themselves.
    body.metadata["name"] = text_name(path)
    written: str = export_obj(body, include_normals=False, header="\n# ".join(said) or None)
    return written.encode()
