"""Draws docs/images/camera.jpg: a photo, a person's crop, and the camera from the side.

python data/build/camera_figure.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from hmrcli.assets.bundled import bundled
from hmrcli.data.crop import square_around
from hmrcli.inference import Predictor
from hmrcli.inference.fit import BBOX_SCALE
from hmrcli.inference.images import read_image
from hmrcli.inference.person import People, Person
from hmrcli.render.overlay import overlay

FIGURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "camera.jpg"
BOX = [905.0, 519.0, 243.0, 413.0]
RED, INK, SKY = "#c0301b", "#1d2530", "#5b8fc4"
PLATE = {"facecolor": "white", "alpha": 0.85, "pad": 1.5, "lw": 0}


def main() -> None:
    plt.rcParams.update({"font.size": 10, "text.color": INK, "axes.titlesize": 11})
    people = Predictor.from_default()(read_image(bundled("photos/walk.jpg")), [BOX])
    figure, (photo, crop, side) = plt.subplots(
        1, 3, figsize=(14, 3.9), width_ratios=(1.78, 1, 1.6), layout="constrained"
    )
    middle, length = square_around(np.array(BOX), BBOX_SCALE)
    drawn = overlay_of(people)
    draw_photo(photo, people[0], drawn, middle, float(length))
    draw_crop(crop, people[0], drawn, middle, float(length))
    draw_side(side, people[0])
    figure.savefig(FIGURE, dpi=110, pil_kwargs={"quality": 85})
    print(f"{FIGURE.name}: {FIGURE.stat().st_size:,} bytes")


def overlay_of(people: People) -> np.ndarray:
    faces = people[0].body.faces.numpy()
    return overlay(
        people[0].image, [person.placed for person in people], faces, people[0].camera, side_view=False
    )


def draw_photo(axes: Axes, person: Person, drawn: np.ndarray, middle: np.ndarray, side: float) -> None:
    camera = person.camera
    axes.imshow(drawn, extent=(0, camera.width, camera.height, 0))
    axes.add_patch(Rectangle((BOX[0], BOX[1]), BOX[2], BOX[3], fill=False, color="white", lw=1.2, ls=":"))
    axes.add_patch(Rectangle(tuple(middle - side / 2), side, side, fill=False, color="white", lw=1.8))
    center_x, center_y = camera.principal_point
    axes.plot(center_x, center_y, "+", color=RED, ms=14, mew=2.2)
    note(axes, "principal_point", (center_x, center_y), (-100, 8), RED)
    note(axes, "bbox_xywh", (BOX[0] + BOX[2], BOX[1] + 80), (5, 0), INK)
    note(axes, "crop", (middle[0] + side / 2, middle[1]), (8, 0), INK)
    axes.set_title("full image: focal_length, principal_point, transl, joints2d")
    axes.set(xlabel="x, pixels", ylabel="y, pixels")


def draw_crop(axes: Axes, person: Person, drawn: np.ndarray, middle: np.ndarray, side: float) -> None:
    width, height = person.camera.width, person.camera.height
    left, top = middle - side / 2
    extent = [(0 - left) / side, (width - left) / side, (height - top) / side, (0 - top) / side]
    axes.imshow(drawn, extent=tuple(2 * value - 1 for value in extent))
    s, tx, ty = person.cam
    axes.plot(s * tx, s * ty, "o", color=RED, ms=6)
    axes.annotate(
        "", (s * tx, s * ty), (0, 0), arrowprops={"arrowstyle": "->", "color": RED, "lw": 2, "shrinkA": 0}
    )
    note(axes, "s · (tx, ty)", (s * tx, s * ty), (8, -4), RED)
    axes.plot([-0.9, -0.9 + s * 0.5], [0.92, 0.92], color="white", lw=3)
    note(axes, "half a metre: s / 2", (-0.9, 0.92), (0, 7), INK)
    axes.set(xlim=(-1, 1), ylim=(1, -1), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set_title(f"crop: cam = ({s:.2f}, {tx:.2f}, {ty:.2f})")


def draw_side(axes: Axes, person: Person) -> None:
    """Draws z to the right and y down; the image plane stands at a metre instead of `focal_length` pixels."""
    body, transl = person.placed, person.transl
    axes.scatter(body[::3, 2], body[::3, 1], s=1, color=SKY)
    for row in (body[body[:, 1].argmin()], body[body[:, 1].argmax()]):
        axes.plot([0, row[2]], [0, row[1]], color=INK, lw=0.8, ls="--")
    top, bottom = (y / person.focal_length for y in (-person.principal_point[1], 497))
    axes.plot([1, 1], [top, bottom], color=INK, lw=3)
    note(axes, "image", (1, top), (4, 6), INK)
    axes.annotate("", (transl[2], transl[1]), (0, 0), arrowprops={"arrowstyle": "->", "color": RED, "lw": 2})
    note(axes, "transl", (transl[2] / 2, transl[1] / 2), (0, -16), RED)
    axes.plot(0, 0, "s", color=INK, ms=9)
    note(axes, "camera", (0, 0), (-20, 22), INK)
    axes.plot([0, 9], [0, 0], color=RED, lw=0.8)
    note(axes, "z: principal_point", (5.6, 0), (0, 5), RED)
    axes.annotate("", (1, 0.45), (0, 0.45), arrowprops={"arrowstyle": "<->", "color": INK})
    note(axes, "focal_length", (0.05, 0.45), (-4, -14), INK)
    axes.set(xlim=(-0.6, 9), ylim=(2.4, -1.2), xlabel="z, metres", ylabel="y, metres", aspect="equal")
    axes.set_title("camera space, from the side: vertices + transl")


def note(axes: Axes, text: str, at: tuple[float, float], off: tuple[float, float], colour: str) -> None:
    axes.annotate(text, at, off, textcoords="offset points", color=colour, bbox=PLATE)


if __name__ == "__main__":
    main()
