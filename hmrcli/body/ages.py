"""The open body as a child: babies and children have other proportions than small adults."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hmrcli.assets.bundled import bundled
from hmrcli.assets.npz import read_npz
from hmrcli.body.model import BodyModel

GROWN_UP = 18.0
"""Years from which the open body's adults stand for everyone."""


def of_age(body: BodyModel, years: float) -> BodyModel:
    """Makes the open body a child's, between those of `data/build/open_body_ages.py`; itself from 18 on.

    Raises:
        ValueError: the body is not that of open adults, or years are below 1.
    """
    if body.name != "open" or body.age is not None:
        raise ValueError("only the open body of adults can be made a child's")
    known, templates = _children()
    if not years >= known[0]:
        raise ValueError(f"the youngest body is {known[0]:g} years old, not {years:g}")
    if years >= GROWN_UP:
        return body
    adult = body.v_template.cpu().numpy()
    ages, shapes = [*known, GROWN_UP], [*templates, adult]
    after = int(np.searchsorted(ages, years, side="right"))
    share = (years - ages[after - 1]) / (ages[after] - ages[after - 1])
    return body.grown((1 - share) * shapes[after - 1] + share * shapes[after], years)


@cache
def _children() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Reads the years (A,) and mean shapes (A, V, 3) of children."""
    stored = read_npz(bundled("body/open_body_ages.npz"))
    return stored["years"], stored["v_template"]
