"""SMPLify's objective against its formulas, its gradients against differences, and where fits end."""

import pickle
from math import log, pi
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

from hmrcli.body import BodyModel, load_body
from hmrcli.body.camera import project
from hmrcli.errors import BadInput, MissingFile
from hmrcli.fitting.mixture import MixturePrior, mixture_terms, read_mixture
from hmrcli.fitting.points import BodyPoints, BodyState
from hmrcli.fitting.priors import PosePrior, pose_prior
from hmrcli.fitting.smplify import (
    joints2d_of,
    joints49,
    place_in_crop,
    smplify,
    smplify_objective,
    smplify_points,
    torso_term,
)
from hmrcli.recipe.schema import InTheLoop
from tests.fitting.crops import People, joints, people, settings, turned

FORMS = {
    "original": settings("original"),
    "benchmark": settings("benchmark"),
    "uncorrected": settings("benchmark", corrected=False),
}


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body().double()


@pytest.fixture(scope="module")
def model(body: BodyModel) -> BodyPoints:
    return smplify_points(body)


@pytest.fixture(scope="module")
def crowd(body: BodyModel) -> People:
    return people(body, 4, noise=8.0)


def write_mixture(path: Path, **changes: np.ndarray) -> Path:
    """A file like SMPLify's with three Gaussians."""
    numbers = np.random.default_rng(0)
    roots = np.eye(69) * 0.3 + 0.02 * numbers.standard_normal((3, 69, 69))
    stored = {
        "means": 0.2 * numbers.standard_normal((3, 69)),
        "covars": roots @ roots.transpose(0, 2, 1) * np.array([1.0, 0.9, 1.2])[:, None, None],
        "weights": np.array([0.2, 0.5, 0.3]),
    }
    path.write_bytes(pickle.dumps(stored | changes, protocol=2))
    return path


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> MixturePrior:
    return read_mixture(write_mixture(tmp_path_factory.mktemp("prior") / "gmm_08.pkl"))


def by_formula(body: BodyModel, crowd: People, state: BodyState, form: InTheLoop, path: Path) -> Tensor:
    """The published objective with SMPLify's mixture, one term after the other."""
    confidence = crowd.keypoints2d[..., 2].clone()
    confidence[:, [1, 9, 12, 27, 28]] = 0
    pixels = project(joints(body, state), 5000.0, torch.tensor([112.0, 112.0]).double())
    distance = pixels - crowd.keypoints2d[..., :2]
    theta = roma.rotmat_to_rotvec(state.rotmat)[:, 1:].flatten(1)
    if form.objective == "original":
        x2, trust = distance**2, confidence**2
        angles = theta[:, [52, 55, 9, 12]] * torch.tensor([1.0, -1, -1, -1])
        bending = angles.exp() ** 2
    else:
        x2, trust = (2 / 223 * distance) ** 4, confidence
        columns = [52, 55, 9, 12] if form.corrected else [55, 58, 12, 15]
        bending = ((theta[:, columns] * torch.tensor([1.0, -1, -1, -1])).exp() - 1) ** 2
    reprojection = (trust[..., None] * (100.0**2 * x2) / (100.0**2 + x2)).sum((1, 2))
    stored = {name: torch.from_numpy(values) for name, values in pickle.loads(path.read_bytes()).items()}
    roots = torch.linalg.det(stored["covars"] * 10).sqrt()  # times 10: a common factor, against underflow
    weights = stored["weights"] / ((2 * pi) ** (69 / 2) * roots / roots.min())
    offset = theta[:, None] - stored["means"]
    square = torch.einsum("bkp,kpq,bkq->bk", offset, torch.linalg.inv(stored["covars"]), offset)
    prior = (0.5 * square - weights.log()).min(1).values
    shape = (state.betas**2).sum(1)
    return reprojection + 4.78**2 * prior + 15.2**2 * bending.sum(1) + 5.0**2 * shape


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_objective_is_the_published_formula(
    form: InTheLoop, body: BodyModel, model: BodyPoints, crowd: People, tmp_path: Path
) -> None:
    crowd = crowd._replace(keypoints2d=crowd.keypoints2d.clone())
    crowd.keypoints2d[:, ::3, 2] = 0.6
    state = crowd.state._replace(rotmat=turned(crowd.state, 0.2, seed=1))
    path = write_mixture(tmp_path / "gmm_08.pkl")
    found = smplify_objective(
        model, read_mixture(path), form, joints2d_of(crowd.keypoints2d, form.ignored_joints), state
    )
    # The body's own forward pass keeps parts of itself in single precision.
    expected = by_formula(body, crowd, state, form, path)
    torch.testing.assert_close(found.cost, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("open_prior", [True, False])
def test_gradient_is_the_derivative(
    form: InTheLoop, open_prior: bool, model: BodyPoints, crowd: People, mixture: MixturePrior
) -> None:
    prior: PosePrior | MixturePrior = pose_prior() if open_prior else mixture
    joints2d = joints2d_of(crowd.keypoints2d, form.ignored_joints)
    state = crowd.state._replace(rotmat=turned(crowd.state, 0.2, seed=2))

    def cost(state: BodyState) -> Tensor:
        return smplify_objective(model, prior, form, joints2d, state).cost

    check_gradient(cost, smplify_objective(model, prior, form, joints2d, state).gradient, state)


def test_gradient_of_the_torso(model: BodyPoints, crowd: People) -> None:
    joints2d = joints2d_of(crowd.keypoints2d)
    joints2d.confidence[:2, 9] = 0  # two people whose OpenPose hip is unsure

    def cost(state: BodyState) -> Tensor:
        return torso_term(joints49(model, state), joints2d).cost

    check_gradient(cost, torso_term(joints49(model, crowd.state), joints2d).gradient, crowd.state)


def check_gradient(cost, gradient: Tensor, state: BodyState) -> None:
    """In random directions of all parts of a step, any of which shows a wrong part."""
    random = torch.Generator().manual_seed(0)
    for _ in range(8):
        way = torch.randn(gradient.shape, generator=random, dtype=gradient.dtype)
        difference = (cost(state.moved(1e-6 * way)) - cost(state.moved(-1e-6 * way))) / 2e-6
        torch.testing.assert_close((gradient * way).sum(1), difference, rtol=1e-5, atol=1e-3)


def test_the_torso_is_openpose_or_else_annotated(model: BodyPoints, body: BodyModel) -> None:
    crowd = people(body, 2, noise=0.0)
    crowd.keypoints2d[:, [9, 12, 2, 5], 0] += 1  # OpenPose is off by a pixel, annotations by two
    crowd.keypoints2d[:, [27, 28, 33, 34], 0] += 2
    crowd.keypoints2d[1, 12, 2] = 0
    cost = torso_term(joints49(model, crowd.state), joints2d_of(crowd.keypoints2d)).cost
    torch.testing.assert_close(cost, torch.tensor([4.0, 16.0]).double(), rtol=1e-4, atol=0)


def test_the_49_joints_are_those_of_the_body(body: BodyModel, model: BodyPoints, crowd: People) -> None:
    torch.testing.assert_close(joints49(model, crowd.state).points, joints(body, crowd.state))


def test_mixture_is_lowest_at_a_mean(mixture: MixturePrior) -> None:
    pose = torch.cat([torch.zeros(3, 3).double(), mixture.means], 1).unflatten(1, (24, 3))
    zeros = torch.zeros(3, 13).double()
    terms = mixture_terms(mixture, BodyState(roma.rotvec_to_rotmat(pose), zeros[:, :10], zeros[:, 10:]), 2.0)
    torch.testing.assert_close(terms.cost, 2 * mixture.offsets)
    assert terms.gradient.abs().max() < 1e-6
    assert torch.linalg.eigvalsh(terms.hessian)[:, -69:].min() > 0
    assert mixture.offsets.min() > 69 / 2 * log(2 * pi)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": np.zeros((3, 72))}, "field means has shape"),
        ({"weights": np.array([1.0, 0.0, 0.0])}, "weights must be positive"),
        ({"covars": -np.stack([np.eye(69)] * 3)}, "positive definite"),
        ({"covars": np.full((3, 69, 69), np.nan)}, "not finite"),
        ({"weights": np.ones(2)}, "differ in length"),
        ({"means": np.array(["a"])}, "field means"),
    ],
)
def test_unusable_mixtures_are_refused(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        read_mixture(write_mixture(tmp_path / "gmm_08.pkl", **changes))


def test_other_files_are_no_mixture(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        read_mixture(tmp_path / "gmm_08.pkl")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(BadInput, match="expected a dictionary"):
        read_mixture(tmp_path / "list.pkl")
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps({"weights": np.ones(1)}))
    with pytest.raises(BadInput, match="field means is missing"):
        read_mixture(tmp_path / "bare.pkl")


def test_place_is_recovered_from_the_annotated_joints(body: BodyModel) -> None:
    crowd = people(body, 3, noise=0.0)
    crowd.keypoints2d[:, :25] = 7.0  # OpenPose's do not count
    crowd.keypoints2d[0, 30] = torch.tensor([500.0, 500.0, 0.0])  # nor do those without confidence
    crowd.keypoints2d[2, 25:, 2] = 0  # nothing is known of the last
    otherwise = torch.tensor([[1.0, 2.0, 3.0]]).double().expand(3, 3)
    at_origin = joints(body, crowd.state._replace(transl=torch.zeros(3, 3).double()))
    found = place_in_crop(at_origin, joints2d_of(crowd.keypoints2d), otherwise)
    torch.testing.assert_close(found[:2], crowd.state.transl[:2], rtol=1e-6, atol=1e-6)
    assert torch.equal(found[2], otherwise[2])


def test_missing_joints_may_hold_anything(model: BodyPoints, crowd: People) -> None:
    keypoints2d = crowd.keypoints2d.clone()
    keypoints2d[:, 5] = torch.tensor([torch.nan, torch.inf, 0.0]).double()
    cost = smplify_objective(
        model, pose_prior(), FORMS["original"], joints2d_of(keypoints2d), crowd.state
    ).cost
    assert cost.isfinite().all()


@pytest.mark.parametrize("form", ["original", "benchmark"])
def test_fits_lower_the_objective_and_do_not_depend_on_the_batch(
    form: str, body: BodyModel, model: BodyPoints
) -> None:
    crowd, chosen, prior = people(body, 3), FORMS[form], pose_prior()
    start = crowd.state._replace(rotmat=turned(crowd.state, 0.25, seed=3))
    joints2d = joints2d_of(crowd.keypoints2d, chosen.ignored_joints)
    fitted = smplify(model, prior, chosen, start, crowd.keypoints2d)
    before = smplify_objective(model, prior, chosen, joints2d, start).cost
    after = smplify_objective(model, prior, chosen, joints2d, fitted)
    assert (after.cost < 0.5 * before).all()
    again = smplify(model, prior, chosen, start, crowd.keypoints2d)
    assert all(torch.equal(a, b) for a, b in zip(fitted, again))
    one = BodyState(*(values[1:2] for values in start))
    alone = smplify(model, prior, chosen, one, crowd.keypoints2d[1:2])
    torch.testing.assert_close(alone.rotmat[0], fitted.rotmat[1], atol=1e-6, rtol=0)


def test_the_network_depth_is_held_by_the_original_alone(body: BodyModel, model: BodyPoints) -> None:
    crowd = people(body, 4, noise=0.0)
    far = crowd.state._replace(transl=crowd.state.transl * torch.tensor([1.0, 1.0, 1.2]))
    moved = {}
    for form in ("original", "benchmark"):
        fitted = smplify(model, pose_prior(), FORMS[form], far, crowd.keypoints2d)
        moved[form] = (fitted.transl - far.transl)[:, 2].abs().mean()
    assert moved["original"] < 0.5 * moved["benchmark"]


def test_the_first_stage_of_the_original_sees_the_hips(body: BodyModel, model: BodyPoints) -> None:
    crowd, form = people(body, 2, noise=0.0), FORMS["original"].model_copy(update={"steps": (30, 1)})
    keypoints2d = crowd.keypoints2d.clone()
    others = [joint for joint in range(49) if joint not in (9, 12, 2, 5)]
    keypoints2d[:, others, 2] = 0  # the torso alone is seen, and its hips are ignored in the second stage
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 0.5]).double())
    start = crowd.state._replace(
        rotmat=torch.cat([(turn @ crowd.state.rotmat[:, :1]), crowd.state.rotmat[:, 1:]], 1)
    )
    fitted = smplify(model, pose_prior(), form, start, keypoints2d)
    torso = joints2d_of(keypoints2d)
    assert (
        torso_term(joints49(model, fitted), torso).cost
        < 0.02 * torso_term(joints49(model, start), torso).cost
    ).all()
