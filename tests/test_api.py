"""What `import hmrcli` offers, and what it costs."""

import subprocess
import sys

import pytest

import hmrcli
from hmrcli.algorithms import build_network
from hmrcli.body import load_body
from hmrcli.evaluation import metrics
from hmrcli.inference import Predictor
from hmrcli.inference.images import read_image
from hmrcli.layers import load_weights
from hmrcli.recipe import load_recipe

OFFERED = {
    "load_recipe": load_recipe,
    "load_body": load_body,
    "build_network": build_network,
    "load_weights": load_weights,
    "Predictor": Predictor,
    "read_image": read_image,
    **{
        name: getattr(metrics, name)
        for name in ("mpjpe", "pa_mpjpe", "pve", "pa_pve", "pck", "auc", "accel_error")
    },
}


@pytest.mark.parametrize("name", OFFERED)
def test_names_are_those_of_their_homes(name: str) -> None:
    assert getattr(hmrcli, name) is OFFERED[name] and name in dir(hmrcli)


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; import hmrcli; sys.exit(bool({'torch', 'numpy', 'cv2', 'yaml'} & {*sys.modules}))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_names_are_refused_as_usual() -> None:
    with pytest.raises(AttributeError, match="module 'hmrcli' has no attribute 'load_recipes'"):
        hmrcli.load_recipes  # noqa: B018
