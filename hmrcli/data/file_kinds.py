"""Says what to do about files that are not there, or of other kinds than annotations."""

import zipfile
from pathlib import Path

from hmrcli.assets.registry import absent, load_registry
from hmrcli.errors import BadInput, HmrError, MissingFile
from hmrcli.files import open_file

_HEAD = 1 << 20
_3DPW = (b"cam_poses", b"campose_valid", b"jointPositions", b"poses2d", b"poses_60Hz", b"img_frame_ids")
_TAR = slice(257, 262)
_UNPACK = "unpack it, and name the .npz file inside"
_CONVERT = "convert it to the layout of HumanData or SPIN, or get one: hmr download --list"
_KINDS = (
    (b"\x1f\x8b", f"a gzip archive; {_UNPACK}"),
    (b"7z\xbc\xaf", f"a 7z archive; {_UNPACK}"),
    (b"Rar!", f"a rar archive; {_UNPACK}"),
    (b"BZh", f"a bzip2 archive; {_UNPACK}"),
    (b"\xfd7zXZ", f"an xz archive; {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"a zstd archive; {_UNPACK}"),
    (b"\x93NUMPY", f"a single array (.npy); {_CONVERT}"),
    (b"\x89HDF", f"an HDF5 file (.h5, or .mat of version 7.3); {_CONVERT}"),
    (b"MATLAB", f"a Matlab file (.mat); {_CONVERT}"),
    (b"\xff\xd8\xff", "a JPEG picture; name the annotation file"),
    (b"\x89PNG", "a PNG picture; name the annotation file"),
    (b"%PDF", "a PDF document; name the annotation file"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself; run: git lfs pull"),
)


def missing(path: Path) -> MissingFile:
    """Makes the error for an absent file: the command that brings it, where the registry knows its name."""
    if path.name in load_registry().by_name:
        return absent(path.name, path)
    return MissingFile(f"{path}: no such file; files that can be obtained: hmr download --list")


def refuse_other_kinds(path: Path) -> None:
    """Raises BadInput for a file that is neither an npz file nor a damaged one; says what it is and what to do next."""
    if kind := _other_kind(path):
        raise BadInput(f"{path}: expected an .npz file of annotations, this is {kind}") from None


def _other_kind(path: Path) -> str | None:
    """Says what a file is, and what to do next, in words that follow "is"; None for an npz file or a damaged one."""
    try:
        with open_file(path) as stream:
            head = stream.read(_HEAD)
    except (HmrError, OSError):
        return None
    if not head:
        return None
    for start, kind in _KINDS:
        if head.startswith(start):
            return kind
    if path.suffix == ".safetensors":
        return "a file of tensors; name the original .npz file, from which compact ones are made again"
    if head[_TAR] == b"ustar":
        return f"a tar archive; {_UNPACK}"
    if head.startswith(b"PK"):
        return _zip(path)
    if head[0] == 0x80 and head[1] in range(2, 6):
        if any(name in head for name in _3DPW):
            return "a pickle of one sequence of 3DPW; get its test set: hmr download pw3d_test.npz"
        return f"a pickle; {_CONVERT}"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] == b"<" and (b"<html" in text.lower() or b"<!doctype" in text.lower()):
        again = "download it again, in a browser if need be"
        if path.name in load_registry().by_name:
            again = f"run: hmr download {path.name}"
        return f"a web page, with a question or an error of the site, not the file; {again}"
    if text[:1] in b"{[" and b"\0" not in text:
        return f"a JSON file; {_CONVERT}"
    if head.isascii() and min(head) > 8:
        return f"a text file (its first line: {head.splitlines()[0][:40].decode()!r}); {_CONVERT}"
    return None


def _zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a damaged archive can fail in many ways, and says so where it is read
        return None
    if any(name.endswith(".npy") for name in names):
        return None
    if any(name.endswith("/data.pkl") for name in names):
        return f"a file of torch; {_CONVERT}"
    return f"a zip archive of {len(names)} files without arrays; {_UNPACK}"
