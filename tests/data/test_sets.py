import os

import numpy as np
import pytest

from hmrcli.data.human_data import write_human_data
from hmrcli.data.needed import needed_files, require
from hmrcli.data.sets import Bodies, load_real_bodies, load_sets, open_annotations
from hmrcli.errors import BadInput, MissingFile, UsageError
from hmrcli.recipe import load_recipe, recipe_names
from tests.data.image_sets import SIZES, recipe, write_sets
from tests.data.people import assert_same, people


@pytest.fixture
def root(tmp_path):
    write_sets(tmp_path, recipe("spin_l1"))
    return tmp_path


def test_sets_are_loaded_as_the_recipe_names_them(root):
    sets = load_sets(recipe("spin_l1"), root)
    assert {images.name: len(images) for images in sets} == SIZES
    for images in sets:
        assert images.annotations.joints == "smpl_49" and images.annotations.dataset == images.name
        assert images.image(1) == root / "datasets" / images.name / "1.png"
        stored = np.load(root / "static_fits" / f"{images.name}_fits.npy")
        assert np.hstack([images.fits.pose, images.fits.betas]) == pytest.approx(stored)


@pytest.mark.parametrize("name", recipe_names())
def test_every_file_of_a_recipe_is_listed_and_missing_in_an_empty_folder(tmp_path, name):
    resolved = load_recipe(name)
    files = needed_files(resolved, tmp_path)
    assert all(file.source for file in files)
    listed = [file.path.name for file in files]
    assert len({file.path for file in files}) == len(files)
    for dataset in resolved.data.mixture.values():
        assert dataset.annotations in listed
        assert dataset.fits is None or dataset.fits in listed
    start = resolved.network.initialisation
    assert start is None or start.optional or (start.backbone or start.network) in listed
    assert ("mesh_downsampling.npz" in listed) == (
        resolved.body_model == "smpl" and resolved.algorithm in ("graphcmr", "graphormer")
    )
    assert resolved.adversary is None or resolved.adversary.annotations in listed
    for file in files:
        assert not file.found or not file.path.is_relative_to(tmp_path)


def test_missing_files_are_listed_with_their_sources(root):
    (root / "preprocessed_datasets" / "spin_lsp_train.npz").unlink()
    (root / "static_fits" / "mpii_fits.npy").unlink()
    for image in (root / "datasets" / "coco").iterdir():
        image.unlink()
    with pytest.raises(MissingFile) as caught:
        load_sets(recipe("spin_l1"), root)
    first, lsp, how_lsp, mpii, how, coco, how_coco, leave = str(caught.value).splitlines()
    assert first == "3 of 18 files are missing:"
    assert "spin_lsp_train.npz" in lsp and "mpii_fits.npy" in mpii and "non-commercial" in how
    assert "Run: hmr download spin_lsp_train.npz, or hmr data make lsp" in how_lsp
    assert how.endswith("hmr download mpii_fits.npy")
    assert coco.replace(os.sep, "/").endswith("datasets/coco (training set coco, images)")
    assert how_coco.endswith(
        "put the official downloads of coco there, each in its folder, then run: hmr data make coco"
    )
    assert leave == "--without NAME goes on without one of lsp, mpii, coco"
    left = load_sets(recipe("spin_l1"), root, without=["coco", "mpii", "lsp"])
    assert [images.name for images in left] == ["h36m", "mpi_inf_3dhp", "lspet"]


def test_missing_files_with_the_same_terms_share_a_line(tmp_path):
    with pytest.raises(MissingFile) as caught:
        require(needed_files(recipe(), tmp_path, bodies=["SMPL_MALE.pkl", "SMPL_FEMALE.pkl"]))
    lines = str(caught.value).splitlines()
    males, females = (
        next(i for i, line in enumerate(lines) if name in line) for name in ("_MALE", "_FEMALE")
    )
    assert females == males + 1 and lines[females].endswith("SMPL_FEMALE.pkl (evaluation, body)")
    assert lines[females + 1].endswith("hmr download SMPL_MALE.pkl SMPL_FEMALE.pkl --from-file PATH")
    assert sum("SMPL Model License" in line for line in lines) == 1


def test_images_that_can_be_fetched_say_so(tmp_path):
    sources = {file.use: file.source for file in needed_files(recipe(), tmp_path)}
    assert sources["training set lspet, images"].endswith("hmr download lspet")
    assert sources["evaluation, images"].endswith("hmr download 3dpw-images --from-file PATH")
    assert sources["training set h36m, images"].endswith("then run: hmr data make h36m")


def test_files_of_the_rest_of_a_recipe_are_found(root):
    files = needed_files(recipe("spin_l1"), root, bodies=["SMPL_NEUTRAL.pkl", "SMPL_MALE.pkl"])
    assert [file.path.name for file in files].count("SMPL_NEUTRAL.pkl") == 1
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        if file.use == "evaluation, images":
            (file.path / "sequence").mkdir(parents=True)
        elif not file.path.exists():
            file.path.touch()
    male = root / "body_models" / "smpl" / "SMPL_MALE.pkl"
    male.rename(male.with_suffix(".npz"))  # another format is as good
    found = needed_files(recipe("spin_l1"), root, bodies=["SMPL_NEUTRAL.pkl", "SMPL_MALE.pkl"])
    require(found)
    assert len(found) == 18 + 9 and all(file.found for file in found)


def test_a_recipe_may_name_paths(root, tmp_path):
    moved = tmp_path / "mine.npz"
    (root / "preprocessed_datasets" / "spin_lsp_train.npz").rename(moved)
    sets = load_sets(recipe("spin_l1", data__mixture__lsp__annotations=str(moved)), root)
    assert len(sets[2]) == SIZES["lsp"]


@pytest.mark.parametrize(
    ("without", "message"), [(["pw3d"], "pw3d is not a training set"), (SIZES, "nothing is left")]
)
def test_sets_to_leave_out_are_checked(root, without, message):
    with pytest.raises(UsageError, match=message):
        load_sets(recipe("spin_l1"), root, without=without)


def test_fits_of_other_annotations_are_refused(root):
    np.save(root / "static_fits" / "lsp_fits.npy", np.zeros((4, 82)))
    with pytest.raises(BadInput, match=r"lsp_fits\.npy: expected 3 rows"):
        load_sets(recipe("spin_l1"), root)


def test_absent_images_are_noticed_before_training(root):
    (root / "datasets" / "mpii" / "0.png").unlink()
    with pytest.raises(MissingFile, match=r"training set mpii: 1 of 6 .*0\.png"):
        load_sets(recipe("spin_l1"), root)


def test_every_image_is_looked_for(tmp_path):
    """Whichever row it is."""
    resolved = recipe()
    write_sets(tmp_path, resolved, SIZES | {"h36m": 300})
    (tmp_path / "datasets" / "h36m" / "151.png").unlink()
    with pytest.raises(MissingFile, match=r"h36m: 1 of 300 .*151\.png; unpack .*--without h36m"):
        load_sets(resolved, tmp_path, without=set(SIZES) - {"h36m"})


def test_annotations_are_converted_once_and_again_when_the_original_changes(tmp_path):
    path = tmp_path / "walks.npz"
    write_human_data(path, people(5, seed=1))
    first = open_annotations(path, "smpl_54", "walks")
    compact = tmp_path / "walks.smpl_54.npy"
    made = compact.stat().st_ino
    assert_same(open_annotations(path, "smpl_54", "walks"), first)
    assert compact.stat().st_ino == made
    write_human_data(path, people(6, seed=2))
    os.utime(path, ns=(1, 1))  # even by an older file
    assert len(open_annotations(path, "smpl_54", "walks")) == 6
    os.utime(compact, ns=(1, 1))
    compact.write_bytes(b"torn")
    os.utime(compact, ns=(1, 1))
    assert len(open_annotations(path, "smpl_54", "walks")) == 6


def test_a_folder_that_cannot_be_written_to_is_no_obstacle(tmp_path, monkeypatch):
    path = tmp_path / "walks.npz"
    write_human_data(path, people(5, seed=1))

    def refused(*_):
        raise PermissionError

    monkeypatch.setattr("hmrcli.data.sets.write_compact", refused)
    assert len(open_annotations(path, "smpl_54", "walks")) == 5
    assert [file.name for file in tmp_path.iterdir()] == ["walks.npz"]


def test_real_bodies_are_drawn_evenly_by_seed_and_step(tmp_path):
    assert load_real_bodies(recipe("pare_l1"), tmp_path) is None
    with pytest.raises(MissingFile, match=r"hmr download cmu_mosh\.npz"):
        load_real_bodies(recipe(), tmp_path)
    count = 50
    numbers = np.arange(count, dtype=np.float32)
    smpl = {
        "global_orient": np.zeros((count, 3)),
        "body_pose": np.tile(numbers[:, None], 69),
        "betas": np.tile(numbers[:, None], 10),
    }
    (tmp_path / "preprocessed_datasets").mkdir()
    np.savez(tmp_path / "preprocessed_datasets" / "cmu_mosh.npz", smpl=np.array(smpl, dtype=object))
    real = load_real_bodies(recipe(), tmp_path)
    drawn = real.draw(0, 7, 20_000)
    assert drawn.pose.shape == (20_000, 72) and np.array_equal(drawn.pose[:, 71], drawn.betas[:, 0])
    found = np.bincount(drawn.betas[:, 0].astype(int), minlength=count)
    assert found == pytest.approx(np.full(count, 400), rel=0.25)
    same(real.draw(0, 7, 20_000), drawn)
    assert not np.array_equal(real.draw(0, 8, 64).betas, real.draw(0, 7, 64).betas)
    assert not np.array_equal(real.draw(1, 7, 64).betas, real.draw(0, 7, 64).betas)


def same(left: Bodies, right: Bodies) -> None:
    assert np.array_equal(left.pose, right.pose) and np.array_equal(left.betas, right.betas)
