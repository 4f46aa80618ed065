"""Files of other kinds in place of annotations."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from hmrcli.data.annotation_files import read_annotations
from hmrcli.data.body_parameters import read_poses
from hmrcli.errors import BadInput


def written(write) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def zipped(*names: str) -> bytes:
    def write(stream):
        with zipfile.ZipFile(stream, "w") as archive:
            for name in names:
                archive.writestr(name, "content")

    return written(write)


def tarred(stream) -> None:
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("walk.npz"))


SEQUENCE = {"sequence": "walk_00", "cam_poses": np.eye(4), "poses": [np.zeros((3, 72))], "genders": ["m"]}
KINDS = [
    (b"<!DOCTYPE html><html><title>Virus scan warning</title>", r"a web page.*download it again"),
    (b"\r\n<html><body>404", "a web page"),
    (pickle.dumps(SEQUENCE, 2), r"a pickle of one sequence of 3DPW.*hmr download pw3d_test\.npz"),
    (pickle.dumps({"f": 1}), "a pickle; convert it"),
    (gzip.compress(b"x" * 99, mtime=0), "a gzip archive; unpack it"),
    (written(tarred), "a tar archive; unpack it"),
    (zipped("walk/1.jpg", "walk/2.jpg"), "a zip archive of 2 files without arrays; unpack it"),
    (zipped("archive/data.pkl", "archive/data/0"), "a file of torch"),
    (json.dumps({"images": []}).encode(), "a JSON file; convert it"),
    (b"image,x,y\n1.jpg,3,4\n", r"a text file \(its first line: 'image,x,y'\)"),
    (b"MATLAB 5.0 MAT-file", "a Matlab file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (written(lambda stream: np.save(stream, np.zeros(3))), "a single array"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS.*git lfs pull"),
    (b"\xff\xd8\xff\xe0 JFIF", "a JPEG picture"),
]


@pytest.mark.parametrize(("content", "message"), KINDS, ids=[message for _, message in KINDS])
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, content, message):
    path = tmp_path / "walk.npz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=rf"walk\.npz: .*this is {message}") as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value)


def test_real_poses_are_no_exception(tmp_path):
    (tmp_path / "cmu_mosh.npz").write_bytes(KINDS[0][0])
    with pytest.raises(BadInput, match=r"a web page.*run: hmr download cmu_mosh\.npz"):
        read_poses(tmp_path / "cmu_mosh.npz")
