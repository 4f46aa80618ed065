import hashlib

import onnxruntime
import pytest

from hmrcli.assets.bundled import bundled

FILES = [
    "people/movenet_multipose.onnx",
    "people/blazepose_heavy.onnx",
    "people/blazepose_lite.onnx",
    "photos/walk.jpg",
]


@pytest.mark.parametrize("name", FILES)
def test_every_bundled_file_is_listed_with_its_hash_and_licence(name):
    file = bundled(name)
    rows = [
        line
        for line in file.with_name("README.md").read_text("utf8").splitlines()
        if f"`{file.name}`" in line
    ]
    assert len(rows) == 1
    assert hashlib.sha256(file.read_bytes()).hexdigest() in rows[0]
    assert "| Apache-2.0 |" in rows[0] or "| BSD-3-Clause |" in rows[0]


@pytest.mark.parametrize("folder", ["people", "photos"])
def test_nothing_else_is_bundled(folder):
    files = {f"{folder}/{path.name}" for path in bundled(folder).iterdir() if path.name != "README.md"}
    assert files == {name for name in FILES if name.startswith(folder)}


@pytest.mark.parametrize("name", FILES[:3])
def test_networks_carry_source_and_licence(name):
    session = onnxruntime.InferenceSession(bundled(name), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["licence"].startswith("Apache-2.0")
    assert metadata["source"].startswith("npm ")
