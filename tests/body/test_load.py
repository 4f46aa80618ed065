"""Body files of the user: SMPL's layouts come through, everything else is refused with a clear line."""

import pickle

import numpy as np
import pytest
import torch

from hmrcli.assets.bundled import bundled
from hmrcli.body import load_body
from hmrcli.errors import BadInput, MissingFile

FIELDS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


@pytest.fixture(scope="module")
def fields():
    """A body in SMPL's format without our metadata, so that it is taken for a licensed one."""
    with np.load(bundled("body/open_body.npz")) as stored:
        return {name: stored[name] for name in FIELDS}


@pytest.fixture
def smpl_file(tmp_path, fields):
    def write(suffix=".npz", **changes):
        folder = tmp_path / "body_models" / "smpl"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"SMPL_NEUTRAL{suffix}"
        content = {k: v for k, v in {**fields, **changes}.items() if v is not None}
        if suffix == ".npz":
            np.savez(path, **content)
        else:
            path.write_bytes(pickle.dumps(content, protocol=2))
        return path

    return write


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_smpl_file_gives_the_same_body(smpl_file, suffix):
    theirs, ours = load_body(smpl_file(suffix)), load_body()
    assert (theirs.name, ours.name) == ("smpl", "open")
    assert theirs.sha256 != ours.sha256 and theirs.num_vertices == ours.num_vertices
    rotmat, betas = torch.eye(3).expand(2, 24, 3, 3), torch.randn(2, 10)
    transl = torch.randn(2, 3)
    for mine, other in zip(ours(rotmat, betas, transl), theirs(rotmat, betas, transl)):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours(rotmat, betas)[0], theirs(rotmat, betas)[0], atol=1e-5, rtol=0)
    assert not theirs.state_dict()


def test_smpl_moves_with_the_module(smpl_file):
    body = load_body(smpl_file()).double()
    rotmat = torch.eye(3, dtype=torch.float64).expand(1, 24, 3, 3)
    assert body(rotmat, torch.zeros(1, 10, dtype=torch.float64)).vertices.dtype == torch.float64


def test_300_shape_directions_are_cut_to_10(smpl_file, fields):
    many = np.concatenate([fields["shapedirs"]] * 2, axis=2)
    assert load_body(smpl_file(shapedirs=many)).shapedirs.shape[2] == 10


def test_missing_file_says_how_to_obtain_it(tmp_path):
    with pytest.raises(MissingFile) as caught:
        load_body(tmp_path / "SMPL_NEUTRAL.pkl")
    message = str(caught.value)
    assert "https://smpl.is.tue.mpg.de" in message and "licence" in message
    assert "hmr download body --from-file SMPL_NEUTRAL.pkl" in message and "\n" not in message


@pytest.mark.parametrize(
    ("field", "change", "expected"),
    [
        ("weights", lambda x: None, "is missing"),
        ("posedirs", lambda x: x[:, :, :100], r"\(6\d{3}, 3, 100\), expected \(6\d{3}, 3, 207\)"),
        ("shapedirs", lambda x: x[:, :, :5], "10 or more"),
        ("shapedirs", lambda x: x[:-1], "has shape"),
        ("J_regressor", lambda x: x[:, :-1], "has shape"),
        ("weights", lambda x: 2 * x, "must sum to 1"),
        ("f", lambda x: x + 10, "names vertices outside"),
        ("f", lambda x: x.astype(str), "expected numbers"),
        ("v_template", lambda x: np.where(x > 0, np.nan, x), "not finite"),
        ("kintree_table", lambda x: x[:, ::-1], "tree of 24 joints"),
        ("kintree_table", lambda x: x[:, :20], "tree of 24 joints"),
    ],
)
def test_wrong_fields_are_named(smpl_file, fields, field, change, expected):
    path = smpl_file(**{field: change(fields[field])})
    with pytest.raises(BadInput, match=rf"SMPL_NEUTRAL\.npz: field {field} .*{expected}"):
        load_body(path)


def test_too_few_vertices(smpl_file, fields):
    keep = 100
    small = {name: fields[name][:keep] for name in ("v_template", "shapedirs", "posedirs", "weights")}
    path = smpl_file(**small, J_regressor=fields["J_regressor"][:, :keep], f=np.array([[0, 1, 2]]))
    with pytest.raises(BadInput, match="has 100 vertices, expected SMPL's 6890"):
        load_body(path)


def test_files_that_are_no_body_model(tmp_path, smpl_file):
    path = smpl_file()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BadInput, match=r"SMPL_NEUTRAL\.npz: not a complete \.npz"):
        load_body(path)
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(BadInput, match="expected a dictionary"):
        load_body(tmp_path / "list.pkl")
    (tmp_path / "body.txt").write_text("x")
    with pytest.raises(BadInput, match=r"must be a \.npz or \.pkl"):
        load_body(tmp_path / "body.txt")


def test_regressors_of_smpl_lie_beside_it(smpl_file):
    path = smpl_file()
    body = load_body(path)
    folder = path.parent.parent
    with pytest.raises(MissingFile, match=r"J_regressor_h36m\.npy not found.*hmr download body"):
        _ = body.h36m_regressor
    with pytest.raises(MissingFile, match=r"mesh_downsampling\.npz not found.*hmr download body"):
        _ = body.levels
    h36m = np.random.default_rng(0).uniform(size=(17, body.num_vertices))
    np.save(folder / "J_regressor_h36m.npy", h36m)
    # GraphCMR's file has five landmark vertices before the nine joints.
    np.save(folder / "J_regressor_extra.npy", np.concatenate([np.zeros((5, body.num_vertices)), h36m[:9]]))
    np.testing.assert_allclose(body.h36m_regressor, h36m, rtol=1e-6)
    np.testing.assert_allclose(body.extra_regressor, h36m[:9], rtol=1e-6)
    np.save(folder / "J_regressor_h36m.npy", h36m[:, :-1])
    with pytest.raises(BadInput, match=r"J_regressor_h36m\.npy: expected numbers of shape \(17,"):
        _ = load_body(path, assets_dir=folder).h36m_regressor


OTHERS = {
    # vertices, joints, numbers of pose correctives, and how a message names it
    "SMPLX_NEUTRAL": (10475, 55, 486, r"is an SMPL-X model \(10475 vertices, 55 joints\)"),
    "SMPLH_MALE": (6890, 52, 459, r"is an SMPL-H model \(6890 vertices, 52 joints\)"),
    "MANO_RIGHT": (778, 16, 135, r"is a MANO hand model \(778 vertices, 16 joints\)"),
    "FLAME": (5023, 5, 36, r"is a FLAME head model \(5023 vertices, 5 joints\)"),
    "STAR_NEUTRAL": (6890, 24, 93, r"is a STAR body \(pose correctives of quaternions, 93\)"),
}


@pytest.mark.parametrize("ending", ["npz", "pkl"])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_bodies_are_named(tmp_path, kind, ending):
    vertices, joints, correctives, message = OTHERS[kind]
    fields = {
        "v_template": np.zeros((vertices, 3), np.float32),
        "shapedirs": np.zeros((vertices, 3, 10), np.float16),
        "posedirs": np.broadcast_to(np.float16(0), (vertices, 3, correctives)),
        "J_regressor": np.zeros((joints, vertices), np.float16),
        "weights": np.full((vertices, joints), 1 / joints, np.float32),
        "f": np.zeros((1, 3), np.int32),
        "kintree_table": np.zeros((2, joints), np.int32),
    }
    path = tmp_path / f"{kind}.{ending}"
    if ending == "npz":
        np.savez_compressed(path, **fields)
    else:
        path.write_bytes(pickle.dumps(fields, 2))
    with pytest.raises(BadInput, match=message + r"; expected SMPL itself .*--body-model open"):
        load_body(path)


def test_what_is_no_body_at_all_is_named_by_its_fields(tmp_path):
    np.savez(tmp_path / "a.npz", poses=np.zeros((3, 156)), trans=np.zeros((3, 3)), betas=np.zeros(16))
    with pytest.raises(BadInput, match="is a motion, as AMASS has them; expected SMPL itself"):
        load_body(tmp_path / "a.npz")
    with np.load(bundled("body/open_body.npz")) as stored:
        fields = dict(stored)
    np.savez(tmp_path / "b.npz", **{name: v for name, v in fields.items() if name != "mirror"})
    np.savez(tmp_path / "c.npz", **fields | {"landmark_vertices": fields["landmark_vertices"] + 10**6})
    for name in ("b.npz", "c.npz"):
        with pytest.raises(BadInput, match="is no complete body in the layout of the bundled one"):
            load_body(tmp_path / name)
