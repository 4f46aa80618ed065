"""Sentences that files say of the body they hold."""

from hmrcli import __version__
from hmrcli.body.model import BodyModel

_BETAS = {
    "smpl": "SMPL's shape parameters",
    "open": "shape parameters of the open body, which are not SMPL's: SMPL makes another body of them",
}


def about(body: BodyModel) -> dict[str, str]:
    """Returns what a file's metadata say: the program, the body, and what its betas are."""
    age = {} if body.age is None else {"age": f"a child of {body.age:g} years"}
    return {
        "generator": f"hmrcli {__version__}",
        "body_model": body.name,
        "body_sha256": body.sha256,
        "betas": _BETAS.get(body.name, f"shape parameters of the body {body.name}, which are not SMPL's"),
        **age,
    }
