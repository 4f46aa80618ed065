"""The sets of the open benchmark: their pictures are rendered on this machine, by `hmrcli.scenes` alone."""

from typing import NamedTuple


class OpenSet(NamedTuple):
    """A set of the open benchmark."""

    about: str
    rows: int
    training: bool


OPEN_SETS = {
    "open-studio": OpenSet("8 people before 4 fixed cameras, exact labels", 20_000, training=True),
    "open-fitted": OpenSet("varied pictures, bodies as fitted to keypoints", 20_000, training=True),
    "open-keypoints": OpenSet("varied pictures, 17 keypoints each", 20_000, training=True),
    "open-test": OpenSet(
        "test: varied pictures of unseen people, poses and places, exact labels", 2_000, training=False
    ),
    "open-wild": OpenSet(
        "harder test: rare poses and views, crowds, occlusion, blur, low light", 2_000, training=False
    ),
}
"""All sets by name; as many rows as everybody has, of which a machine may hold the first so many."""
