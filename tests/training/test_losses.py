import numpy as np
import pytest
import torch
from torch.nn.functional import l1_loss, mse_loss

from hmrcli.algorithms import ALGORITHMS
from hmrcli.algorithms.targets import Counts, count_labels
from hmrcli.body import load_body
from hmrcli.body.joints import COMMON_24, EVALUATION_14_FROM_H36M, JOINT_SETS
from hmrcli.body.model import BodyOutput
from hmrcli.body.rotations import rotmat_from_pose
from hmrcli.layers import Discriminator, Prediction
from hmrcli.layers.crops import whole_photos
from hmrcli.recipe import load_recipe, recipe_names
from hmrcli.training.losses import total, training_losses
from tests.algorithms.checks import row_of
from tests.algorithms.golden import golden
from tests.training.made import CROPS, FLAGS, leaves, made_labels, made_prediction

IDLE = {("graphcmr", "level0"), ("graphcmr", "joints"), ("pare", "part_maps")}
BODIES = [name for name, one in ALGORITHMS.items() if one.makes_bodies]


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def losses_of(recipe, body, batch=3, **changes):
    prediction, labels = made_prediction(recipe, body, batch), made_labels(recipe, batch)
    discriminator = Discriminator() if recipe.adversary else None
    return prediction, training_losses(recipe, prediction, labels | changes, CROPS, body, discriminator)


@pytest.mark.parametrize("name", ["hmr_normal", "hmr_l1", "pare_normal", "pare_l1"])
def test_whole_recipes_equal_the_original(name):
    data = {key: torch.from_numpy(array) for key, array in golden("losses").items()}
    recipe = load_recipe(name, ["data.joints=smpl_54"])

    class Body:
        """Poses the golden bodies."""

        def __call__(self, rotmat, betas, transl=None):
            return BodyOutput(data["gt_vertices"], None)

        def smpl_54_joints(self, output):
            return data["pred_joints"]

    labels = {
        **{"keypoints2d": data["gt_kp2d"], "keypoints3d": data["gt_joints"]},
        **{"pose": data["gt_pose"], "betas": data["gt_betas"], "has_smpl": data["has_smpl"]},
        **dict.fromkeys(("has_keypoints2d", "has_keypoints3d"), data["has_keypoints"]),
    }
    fields = (data[field] for field in ("cam", "pred_vertices", "pred_rotmat", "pred_betas"))
    maps, joints = torch.zeros(len(data["cam"]), 25, 8, 8), data["pred_joints"][:, :24]
    prediction = Prediction(*fields, part_maps=maps, joints=joints)
    discriminator = torch.nn.Module()
    discriminator.forward = lambda rotmat, betas: data["disc_score"]
    terms = training_losses(recipe, prediction, labels, CROPS, Body(), discriminator)

    kinds = "pare_normal" if name == "pare_normal" else name.partition("_")[2]
    over = "_flagged" if recipe.algorithm == "pare" else ""
    golden_weights = {
        "keypoints3d": (f"keypoints3d{over}", 100),
        "keypoints2d": (f"keypoints2d{over}", 10),
        "vertices": ("vertices", 2),
        "rotmat": ("pose", 3),
        "betas": ("betas", 0.02),
    }
    if "adversarial" in terms:
        torch.testing.assert_close(terms["adversarial"], data["loss:gan/generator"])
    for term, (golden_term, weight) in golden_weights.items():
        if term in recipe.losses:
            expected = data[f"loss:{kinds}/{golden_term}"] * recipe.losses[term].weight / weight
            torch.testing.assert_close(terms[term], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in recipe_names() if not name.startswith("open_")])
def test_every_recipe_reaches_what_its_network_predicts(name, body):
    recipe = load_recipe(name)
    prediction, terms = losses_of(recipe, body)
    assert list(terms) == list(recipe.losses)
    assert all(term.ndim == 0 and term > 0 for term in terms.values())
    total(terms).backward()
    for field, leaf in leaves(prediction).items():
        # GraphCMR's coarser mesh is learnt through the full one, PARE has no loss of its maps, and both regress joints.
        idle = (recipe.algorithm, field) in IDLE
        assert (leaf.grad is None) == idle, field
        assert idle or (leaf.grad.isfinite().all() and leaf.grad.any()), field


def test_weights_multiply_terms(body):
    plain = losses_of(load_recipe("pare_l1"), body)[1]
    recipe = load_recipe("pare_l1", ["losses.betas.weight=0.6", "losses.rotmat.weight=0"])
    changed = losses_of(recipe, body)[1]
    expected = plain | {"betas": 10 * plain["betas"], "rotmat": torch.tensor(0.0)}
    torch.testing.assert_close(changed, expected)
    torch.testing.assert_close(total(changed), sum(expected.values()))


def keypoint_error(predicted, target, square, flags=None):
    """The original's way: picks flagged samples, mean over all of their joints."""
    chosen = slice(None) if flags is None else flags
    error = (predicted - target[..., :-1])[chosen]
    return ((error.square() if square else error.abs()) * target[chosen][..., -1:]).mean()


def on_hips(joints):
    moved = joints.clone()
    moved[..., :3] -= (joints[:, 2:3, :3] + joints[:, 3:4, :3]) / 2
    return moved


@pytest.mark.parametrize("name", ["graphcmr_normal", "graphcmr_l1"])
def test_graphcmr_against_its_paper(name, body):
    recipe = load_recipe(name)
    square, mean = name.endswith("normal"), mse_loss if name.endswith("normal") else l1_loss
    prediction, terms = losses_of(recipe, body)
    labels = made_labels(recipe)
    has = labels["has_smpl"]
    rotmat = rotmat_from_pose(labels["pose"])
    true_vertices = body(rotmat, labels["betas"]).vertices
    points2d = labels["keypoints2d"].clone()
    points2d[..., :2] = points2d[..., :2] / 112 - 1
    expected = {
        "rotmat": mean(prediction.rotmat[has], rotmat[has]),
        "betas": 0.1 * mean(prediction.betas[has], labels["betas"][has]),
    }
    for prefix, vertices in (("", prediction.vertices), ("free_", prediction.mesh_levels[1])):
        regressed = torch.cat([body.joint_regressor @ vertices, vertices[:, body.landmark_vertices]], 1)
        joints = torch.cat([regressed, body.extra_regressor @ vertices], 1)[:, list(COMMON_24.from_54)]
        projected = prediction.cam[:, None, :1] * (joints[..., :2] + prediction.cam[:, None, 1:])
        flags = labels["has_keypoints3d"]
        expected[f"{prefix}keypoints3d"] = keypoint_error(
            on_hips(joints), on_hips(labels["keypoints3d"]), square, flags
        )
        expected[f"{prefix}keypoints2d"] = keypoint_error(projected, points2d, square)
        expected[f"{prefix}vertices"] = l1_loss(vertices[has], true_vertices[has])
    torch.testing.assert_close(terms, {term: expected[term] for term in terms}, rtol=1e-5, atol=1e-6)


def test_graphcmrs_camera_learns_from_the_free_mesh_alone(body):
    prediction, terms = losses_of(load_recipe("graphcmr_normal"), body)
    cam = prediction.cam
    (by_free,) = torch.autograd.grad(terms.pop("free_keypoints2d"), cam, retain_graph=True)
    assert by_free.any()
    (by_others,) = torch.autograd.grad(total(terms), cam)
    assert not by_others.any()


@pytest.mark.parametrize("name", ["graphormer_normal", "graphormer_l1"])
def test_graphormer_against_its_paper(name, body):
    recipe = load_recipe(name)
    square = name.endswith("normal")
    prediction, terms = losses_of(recipe, body)
    labels = made_labels(recipe)
    has, flags = labels["has_smpl"], labels["has_keypoints3d"]
    true = body(rotmat_from_pose(labels["pose"]), labels["betas"]).vertices
    true = true - torch.einsum("v,bvc->bc", body.h36m_regressor[0], true)[:, None]
    points2d = labels["keypoints2d"].clone()
    points2d[..., :2] = points2d[..., :2] / 112 - 1
    full = prediction.mesh_levels[2]
    expected = {}
    for prefix, joints in (
        ("", (body.h36m_regressor @ full)[:, list(EVALUATION_14_FROM_H36M)]),
        ("token_", prediction.joints3d),
    ):
        projected = prediction.cam[:, None, :1] * (joints[..., :2] + prediction.cam[:, None, 1:])
        expected[f"{prefix}keypoints3d"] = 1000 * keypoint_error(
            on_hips(joints), on_hips(labels["keypoints3d"]), square, flags
        )
        expected[f"{prefix}keypoints2d"] = 100 * keypoint_error(projected, points2d, square)
    levels = [true]
    for level in (1, 2):
        levels.append(levels[-1][:, body.levels.down[level - 1]])
    for term, predicted, target in zip(
        ("vertices", "middle_vertices", "coarse_vertices"), prediction.mesh_levels[::-1], levels
    ):
        expected[term] = 33 * l1_loss(predicted[has], target[has])
    torch.testing.assert_close(terms, {term: expected[term] for term in terms}, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("joints", ["smpl_54", "smpl_49", "common_24"])
def test_perfect_predictions_have_no_loss(joints, body):
    """Labels made from a body as a camera sees it; 3D joints are anywhere."""
    recipe = load_recipe("hmr_normal", [f"data.joints={joints}"])
    labels = made_labels(recipe)
    prediction = made_prediction(recipe, body)
    pose = torch.tensor(np.random.default_rng(0).normal(0, 0.3, (3, 72)), dtype=torch.float32)
    output = body(rotmat_from_pose(pose), labels["betas"])
    joints3d = body.smpl_54_joints(output)[:, list(JOINT_SETS[joints].from_54)]
    s, tx, ty = prediction.cam.detach().unbind(1)
    placed = joints3d + torch.stack([tx, ty, 2 * 5000 / (224 * s)], 1)[:, None]
    # Crop pixels from the middle of the last pixels, as the perspective losses take them.
    pixels = 5000 * placed[..., :2] / placed[..., 2:] + 111.5
    ones = torch.ones(3, joints3d.shape[1], 1)
    labels |= {"pose": pose, **dict.fromkeys(FLAGS, torch.ones(3, dtype=torch.bool))}
    labels |= {"keypoints2d": torch.cat([pixels, ones], 2), "keypoints3d": torch.cat([joints3d + 5, ones], 2)}
    found = Prediction(
        prediction.cam, output.vertices, rotmat_from_pose(pose), labels["betas"], joints=output.joints
    )
    terms = training_losses(recipe, found, labels, CROPS, body, Discriminator())
    for term in ("keypoints3d", "keypoints2d", "rotmat", "betas", "vertices"):
        assert terms[term] < 1e-6, term


def test_local_joints_do_not_feel_a_turn_of_the_body(body):
    recipe = load_recipe("pare_l1", ["losses={local_keypoints3d: {kind: l1, weight: 1, over: visible}}"])
    labels = made_labels(recipe, 3)
    labels |= dict.fromkeys(FLAGS, torch.ones(3, dtype=torch.bool))
    rotmat, betas = rotmat_from_pose(labels["pose"]), labels["betas"]
    from_54 = list(JOINT_SETS[recipe.data.joints].from_54)

    def joints(rotmat):
        return body.smpl_54_joints(body(rotmat, betas))[:, from_54]

    labels["keypoints3d"] = torch.cat([joints(rotmat) + 5, torch.ones(3, len(from_54), 1)], 2)
    cam = torch.tensor([[0.9, 0.0, 0.0]]).expand(3, 3)

    def loss(rotmat):
        posed, maps = body(rotmat, betas), torch.zeros(3, 25, 8, 8)
        found = Prediction(cam, posed.vertices, rotmat, betas, part_maps=maps, joints=posed.joints)
        return training_losses(recipe, found, labels, CROPS, body)["local_keypoints3d"]

    turned, bent = rotmat.clone(), rotmat.clone()
    random = torch.Generator().manual_seed(0)
    turned[:, 0] = rotmat_from_pose(torch.randn(3, 72, generator=random))[:, 0]
    bent[:, 16] = turned[:, 0]
    assert loss(turned) < 1e-6
    assert loss(bent) > 1e-2
    labels["has_smpl"] = torch.tensor([True, False, False])
    bent[0] = rotmat[0]
    assert loss(bent) < 1e-6, "samples without a pose have no frame to compare in"


@pytest.mark.parametrize("algorithm", BODIES)
def test_a_batch_in_parts_has_the_loss_of_the_whole(algorithm, body):
    recipe = row_of(algorithm)
    labels, prediction = made_labels(recipe, 4), made_prediction(recipe, body, 4)
    discriminator = Discriminator() if recipe.adversary else None
    whole = training_losses(
        recipe, prediction, labels, whole_photos(torch.zeros(4, 3, 224, 224)), body, discriminator
    )
    parts = [slice(0, 2), slice(2, 4)]
    split_labels = [{name: value[part] for name, value in labels.items()} for part in parts]
    counts = Counts(*torch.stack([torch.stack(count_labels(part)) for part in split_labels]).mean(0))
    split = []
    for part, part_labels in zip(parts, split_labels):
        fields = {
            name: value[part]
            for name, value in prediction._asdict().items()
            if isinstance(value, torch.Tensor)
        }
        levels = prediction.mesh_levels and tuple(level[part] for level in prediction.mesh_levels)
        found = prediction._replace(**fields, mesh_levels=levels)
        split.append(
            training_losses(
                recipe,
                found,
                part_labels,
                whole_photos(torch.zeros(2, 3, 224, 224)),
                body,
                discriminator,
                counts,
            )
        )
    for term, loss in whole.items():
        torch.testing.assert_close((split[0][term] + split[1][term]) / 2, loss, msg=term)


@pytest.mark.parametrize("algorithm", BODIES)
def test_without_labels_terms_are_zero_and_connected(algorithm, body):
    recipe = row_of(algorithm)
    blank = {name: torch.zeros_like(value) for name, value in made_labels(recipe).items()}
    prediction, terms = losses_of(recipe, body, **blank)
    for name, term in terms.items():
        assert term.requires_grad
        assert (term == 0) == (name not in ("camera_prior", "adversarial"))
    total(terms).backward()
    for field, leaf in leaves(prediction).items():
        if (algorithm, field) not in IDLE:
            assert leaf.grad.isfinite().all(), field


@pytest.mark.parametrize("algorithm", BODIES)
def test_losses_are_float32_under_autocast(algorithm, body):
    recipe = row_of(algorithm, "l1")
    torch.manual_seed(0)
    plain = losses_of(recipe, body)[1]
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = losses_of(recipe, body)[1]
    for name, term in mixed.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, plain[name])


def test_half_precision_predictions_are_taken(body):
    recipe = load_recipe("graphormer_l1")
    prediction = made_prediction(recipe, body)
    levels = tuple(level.bfloat16() for level in prediction.mesh_levels)
    half = prediction._replace(mesh_levels=levels, joints3d=prediction.joints3d.bfloat16())
    terms = training_losses(recipe, half, made_labels(recipe), CROPS, body)
    assert all(term.dtype == torch.float32 and term.isfinite() for term in terms.values())


def test_spin_can_keep_the_fitted_translation(body):
    recipe = load_recipe("spin_l1")
    plain = losses_of(recipe, body)[1]
    shifted = losses_of(recipe, body, fit_transl=torch.tensor([[0.0, 0, 7]]).expand(3, -1))[1]
    assert {name for name in plain if shifted[name] != plain[name]} == {"vertices"}
    # A third of the numbers are 7 m too far; predictions stay within 2 m of the origin.
    assert shifted["vertices"].item() / 2 == pytest.approx(7 / 3, abs=0.7)


@pytest.mark.parametrize(
    ("label", "shape"),
    [
        ("keypoints2d", (3, 24, 3)),
        ("keypoints3d", (3, 54, 3)),
        ("pose", (3, 24, 3)),
        ("betas", (3, 11)),
        ("has_smpl", (3, 1)),
        ("has_keypoints2d", (2,)),
        ("fit_transl", (3,)),
    ],
)
def test_wrong_labels_are_named(label, shape, body):
    with pytest.raises(ValueError, match=rf"label {label} has shape \({shape[0]},.*\), expected \(3,"):
        losses_of(load_recipe("hmr_l1"), body, **{label: torch.zeros(shape)})


def test_what_is_missing_is_named(body):
    recipe = load_recipe("hmr_l1")
    prediction, labels = made_prediction(recipe, body), made_labels(recipe)
    del labels["pose"]
    with pytest.raises(
        ValueError, match=r"labels lack pose, expected shape \(3, 72\); they have keypoints2d,"
    ):
        training_losses(recipe, prediction, labels, CROPS, body)
