"""Reading recipes: errors with their place, overrides, and writing them back."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hmrcli.errors import BadInput, UsageError
from hmrcli.recipe import Recipe, load_recipe, recipe_names
from hmrcli.recipe.algorithms import ALGORITHMS
from hmrcli.recipe.document import dump_document, parse_value

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def text_of(name: str) -> str:
    return (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")


def edited(folder: Path, name: str, old: str, new: str) -> tuple[Path, int]:
    """A recipe with one change, and the line of it."""
    text = text_of(name)
    assert text.count(old) >= 1, old
    path = folder / "mine.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path, text[: text.index(old)].count("\n") + 1


def refusal(folder: Path, name: str, old: str, new: str) -> tuple[str, int]:
    path, line = edited(folder, name, old, new)
    with pytest.raises(BadInput) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path)), line


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("optimizer:", "optimiser:", "`optimiser`: unknown key, did you mean `optimizer`?"),
        ("iterations: 3", "iteration: 3", "`network.iteration`: unknown key, did you mean `iterations`?"),
        ("epochs: 100", "epochs: '100'", '`schedule.epochs`: expected an integer, found "100"'),
        ("epochs: 100", "epochs: 1.5", "`schedule.epochs`: expected an integer, found 1.5"),
        ("epochs: 100", "epochs: true", "`schedule.epochs`: expected an integer, found true"),
        ("epochs: 100", "epochs: 0", "`schedule.epochs`: expected greater than or equal to 1, found 0"),
        ("flip: 0.5", "flip: 1.5", "`augmentation.flip`: expected less than or equal to 1, found 1.5"),
        ("flip: 0.5", "flip: .nan", "`augmentation.flip`: expected a finite number, found NaN"),
        ("max", "most", "`data.epoch_length`: expected an integer or 'max' or 'sum', found \"most\""),
        ("lr: {backbone: 2.5e-4", "lr: {backbone: x", "`optimizer.lr.backbone`: expected a number"),
        ("[0.9, 0.999]", "[0.9]", "`optimizer.betas.1`: is missing"),
        ("kind: l1, weight: 100", "kind: l3, weight: 100", "`losses.keypoints3d.kind`: expected 'l1', 'mse'"),
        ("h36m: {", "h 36m: {", "`data.mixture.h 36m`: expected a name of letters, digits, _, - and . alone"),
        ("algorithm: hmr", "algorithm: hrm", "`algorithm`: expected 'hmr', 'spin', 'graphcmr'"),
        (
            "name: hmr_l1",
            "name: ../x",
            '`name`: expected a name of letters, digits, _, - and . alone, found "../x"',
        ),
    ],
)
def test_wrong_keys_and_values_are_placed(tmp_path, old, new, message):
    found, line = refusal(tmp_path, "hmr_l1", old, new)
    assert found.startswith(f":{line}: {message}")
    assert found.endswith("shows a whole recipe")


def test_a_missing_key_is_placed_at_its_section(tmp_path):
    found, line = refusal(tmp_path, "hmr_l1", "  epochs: 100\n", "")
    assert found.startswith(f":{line - 1}: `schedule.epochs`: is missing")


MIX = (
    "self_mix: {datasets: [DATASET], probability: 0.5, attempts: 100, "
    "area: [0.1, 0.4], aspect: [0.3, 3], blend: [0.1, 0.9]}"
)


@pytest.mark.parametrize(
    ("recipe", "old", "new", "message"),
    [
        ("hmr_l1", "share: 0.35", "share: 0.5", "`data.mixture`: the shares sum to 1.15 instead of 1"),
        ("hmr_l1", ", share: 0.35", "", "`data.mixture.h36m`: has no `share`"),
        ("graphormer_l1", "length: sum", "length: max", "`data.epoch_length`: sets without shares"),
        (
            "hmr_l1",
            "backbone: resnet50\n",
            "backbone: hrnet_w48\n",
            "`network.backbone`: hmr stands on resnet18 or resnet50 or hrnet_w32",
        ),
        ("pare_l1", "frozen", "local", "`network.batch_norm`: pare on hrnet_w32 has frozen statistics"),
        ("hmr_l1", "synchronised", "frozen", "`network.batch_norm`: hmr on resnet50 has synchronised or"),
        ("hmr_l1", "  iterations: 3\n", "", "`network.iterations`: hmr needs it"),
        ("pare_l1", "frozen", "frozen\n  iterations: 3", "`network.iterations`: pare has no use for it"),
        ("hmr_l1", "{backbone: res", "{network: a, backbone: res", "`network.initialisation`: expected one"),
        (
            "graphcmr_l1",
            "camera:",
            "adversary: {annotations: a.npz}\ncamera:",
            "`adversary`: graphcmr has no",
        ),
        ("hmr_l1", "adversary: {annotations: cmu_mosh.npz}\n", "", "`losses.adversarial`: `adversary` and"),
        ("hmr_l1", ", adversary: 1e-4", "", "`optimizer.lr`: the adversary needs a rate"),
        ("spin_l1", "head: 3e-5", "head: 3e-5, adversary: 1e-4", "`optimizer.lr.adversary`: there is no"),
        ("hmr_l1", "  vertices: {", "  camera_prior: {", "`losses.camera_prior`: hmr has no such loss"),
        ("hmr_l1", "vertices: {kind: l1", "vertices: {kind: lsgan", "`losses.vertices.kind`: expected l1 or"),
        ("hmr_l1", ", over: visible", "", "`losses.keypoints3d`: needs `over`"),
        ("hmr_l1", "weight: 2}", "weight: 2, over: all}", "`losses.vertices`: is no keypoint loss"),
        ("hmr_l1", "share: 0.35}", "share: 0.35, fits: f.npy}", "`data.mixture.h36m.fits`: stored fits are"),
        ("hmr_l1", "smpl_54", "evaluation_14", "`data.joints`: hmr learns smpl_54 or smpl_49 or common_24"),
        ("spin_l1", "smpl_49", "smpl_54", "`data.joints`: spin learns smpl_49"),
        ("graphcmr_l1", "kind: orthographic", "kind: perspective", "`camera.kind`: graphcmr has a camera"),
        ("hmr_l1", "lr_decay: null", "lr_decay: {epochs: [9, 3], factor: 0.1}", "`schedule.lr_decay.epochs`"),
        ("spin_l1", "epochs: [3]", "epochs: [10]", "`schedule.lr_decay.epochs`: expected rising numbers"),
        ("spin_l1", "variant: l1", "variant: l1\nin_the_loop: null #", "key `in_the_loop` is already given"),
        ("spin_l1", "algorithm: spin", "algorithm: hmr", "`losses.camera_prior`: hmr has no such loss"),
        ("graphcmr_l1", "meshes:", "# meshes:", "`evaluation.meshes`: graphcmr needs it"),
        ("hmr_l1", "body_model: smpl", "body_model: open", "`evaluation.protocol`: 3dpw needs the body"),
        ("hmr_l1", "self_mix: null", MIX, "`augmentation.self_mix.datasets`: DATASET is not in the mixture"),
        (
            *("hmr_l1", "self_mix: null", MIX.replace("DATASET", "h36m").replace("0.4]", "1.4]")),
            "`augmentation.self_mix.area`: expected the smaller number first, none above 1",
        ),
        (
            *("hmr_l1", "self_mix: null", MIX.replace("DATASET", "h36m").replace("0.3, 3", "3, 0.3")),
            "`augmentation.self_mix.aspect`: expected the smaller number first",
        ),
    ],
)
def test_impossible_combinations_are_named(tmp_path, recipe, old, new, message):
    found, _ = refusal(tmp_path, recipe, old, new)
    place, _, rest = found.removeprefix(":").partition(": ")
    assert int(place) > 0
    assert rest.startswith(message)


def test_an_impossible_combination_has_the_line_of_its_key(tmp_path):
    path, line = edited(tmp_path, "spin_l1", "corrected: true", "corrected: false")
    path.write_text(path.read_text().replace("objective: benchmark", "objective: original"))
    with pytest.raises(BadInput, match=f"mine.yaml:{line}: `in_the_loop.corrected`: SPIN's own"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("seed: 0\nseed: 1", "key `seed` is already given in line {line}"),
        ("seed: &a 0", "anchors and aliases are not allowed"),
        ("seed: *a", "anchors and aliases are not allowed"),
        ("seed: !!python/object/apply:os.system ['exit 1']", "could not determine a constructor"),
        ("1: 2", "a key must be a word"),
        ("? [a]\n: 2", "a key must be a word"),
        ("seed: [1", "did not find expected ',' or ']'"),
        ("seed: 'a", "found unexpected end of stream"),
    ],
)
def test_yaml_that_is_refused_is_placed(tmp_path, new, message):
    found, line = refusal(tmp_path, "hmr_l1", "seed: 0", new)
    place, _, rest = found.removeprefix(":").partition(": ")
    assert int(place) >= line
    assert rest.startswith(message.format(line=line))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a", "expected a mapping of keys to values, found list"),
        (b"", "expected a mapping of keys to values, found nothing"),
        (b"\x80\x02}q\x00.", "cannot be read as YAML"),
        (b"a: " + b"[" * 5000, ":1: is nested too deeply"),
        (b"a: " + b"9" * 5000, "cannot be read as YAML"),
        (b"#" * 1_000_001, "is too large to be a recipe"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, content, message):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        load_recipe(path)
    assert message in str(caught.value)


def test_unknown_names_list_close_ones():
    with pytest.raises(BadInput, match="coc: no recipe has this name; did you mean graphormer_l1_coco"):
        load_recipe("graphormer_l1_coc")
    with pytest.raises(
        BadInput, match=r"zzz: no recipe has this name; the bundled ones are cliff, graphcmr_l1, "
    ):
        load_recipe("zzz")
    with pytest.raises(BadInput, match=r"hmr_l2.yaml: there is no such recipe file; did you mean hmr_l1"):
        load_recipe("hmr_l2.yaml")


def test_overrides_reach_any_leaf():
    recipe = load_recipe(
        "hmr_l1_coco_aug",
        [
            "optimizer.lr=1e-4",
            "data.mixture.h36m.annotations=other.npz",
            "augmentation.self_mix=null",
            "network.initialisation={network: a.safetensors}",
            "losses.betas.weight=1",
            "seed=7",
            "seed=8",
        ],
    )
    assert recipe.optimizer.learning_rate("adversary") == recipe.optimizer.lr == 1e-4
    assert recipe.data.mixture["h36m"].annotations == "other.npz"
    assert recipe.augmentation.self_mix is None
    assert recipe.network.initialisation is not None
    assert recipe.network.initialisation.network == "a.safetensors"
    assert recipe.losses["betas"].weight == 1
    assert recipe.seed == 8


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimser.lr=1", "`optimser`: unknown key, did you mean `optimizer`?"),
        ("optimizer.rate=1", "`optimizer.rate`: unknown key"),
        ("lr=1e-4", "`lr`: unknown key, did you mean `optimizer.lr`?"),
        ("batchsize=2", "`batchsize`: unknown key, did you mean `schedule.batch_size`?"),
        ("schedule.batchsize=2", "`schedule.batchsize`: unknown key, did you mean `batch_size`?"),
        (
            "annotations=a.npz",
            "`annotations`: unknown key, did you mean `data.mixture.h36m.annotations` or `",
        ),
        ("optimizer.lr=fast", '`optimizer.lr`: expected a number or a mapping, found "fast"'),
        ("optimizer.lr=-1", "`optimizer.lr`: expected greater than 0 or a mapping, found -1"),
        ("seed=", "`seed`: expected an integer, found null"),
        ("seed.x=1", "`seed`: has no keys in this recipe"),
        ("augmentation.self_mix.probability=1", "`augmentation.self_mix`: has no keys in this recipe"),
        ("data.mixture.h36m.share=0.2", "`data.mixture`: the shares sum to 0.85 instead of 1"),
        ("optimizer.lr=[1", "the value is no YAML (did not find expected ',' or ']')"),
        ("network.backbone=hrnet_w48", "`network.backbone`: hmr stands on resnet18 or resnet50 or hrnet_w32"),
    ],
)
def test_errors_of_overrides_name_the_override(override, message):
    with pytest.raises(BadInput) as caught:
        load_recipe("hmr_normal", [override])
    assert str(caught.value).startswith(f"override `{override}`: {message}")


@pytest.mark.parametrize(
    ("epochs", "kept"), [(1, None), (4, None), (5, (4,)), (6, (4, 5)), (9, (4, 5))], ids=str
)
def test_decays_after_a_shortened_schedule_are_left_out_and_said(epochs, kept):
    said = []
    decay = load_recipe("open_quick", [f"schedule.epochs={epochs}"], said.append).schedule.lr_decay
    assert (decay and decay.epochs) == kept and len(said) == (epochs < 6)
    assert all(
        f"schedule.epochs={epochs}" in text and "epoch 5" in text.replace("4, 5", "5") for text in said
    )
    with pytest.raises(BadInput, match="rising numbers below 5"):
        load_recipe("open_quick", ["schedule.epochs=5", "schedule.lr_decay.epochs=[7]"])


@pytest.mark.parametrize("section", ["{}", "3", "{epochs: x}", "null"])
def test_a_section_that_is_overridden_after_its_key_is_refused_by_name(section):
    for name in ("hmr_normal", "open_quick"):
        with pytest.raises(BadInput, match=f"override `schedule={section}`: `schedule"):
            load_recipe(name, ["schedule.epochs=5", f"schedule={section}"])


@pytest.mark.parametrize("override", ["seed", "=1", "a..b=1", ""])
def test_an_override_without_key_or_value_is_wrong_usage(override):
    with pytest.raises(UsageError, match="expected KEY=VALUE, for example"):
        load_recipe("hmr_normal", [override])


@given(rate=st.floats(min_value=1e-12, max_value=1e3), epochs=st.integers(1, 10**6))
def test_numbers_survive_an_override(rate, epochs):
    recipe = load_recipe("hmr_normal", [f"optimizer.lr={rate!r}", f"schedule.epochs={epochs}"])
    assert (recipe.optimizer.lr, recipe.schedule.epochs) == (rate, epochs)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.dictionaries(st.text(min_size=1), st.recursive(scalars, st.lists), max_size=4))
def test_documents_read_back_as_written(values):
    assert parse_value(dump_document(values)) == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("010", 10.0),
        ("on", "on"),
        ("True", True),
        ("12:30", "12:30"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


@pytest.mark.parametrize("name", recipe_names())
def test_dump_loads_to_an_equal_recipe(name, tmp_path):
    recipe = load_recipe(name, ["seed=3", "augmentation.self_mix=null"])
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.dump(), encoding="utf-8")
    again = load_recipe(path)
    assert again == recipe
    assert again.as_dict() == recipe.as_dict()
    assert again != load_recipe(name)


def test_recipes_are_frozen():
    recipe = load_recipe("hmr_normal")
    with pytest.raises(ValidationError):
        recipe.seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        recipe.optimizer.kind = "sgd"  # type: ignore[misc, assignment]


def test_importing_costs_no_torch():
    heavy = "sorted({'torch', 'numpy'} & set(sys.modules))"
    code = f"import sys; from hmrcli.recipe import load_recipe; load_recipe('hmr_l1'); print({heavy})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_networks_agree_on_backbones(algorithm):
    """What recipes may say is what the algorithm's file can build."""
    code = importlib.import_module(f"hmrcli.algorithms.{algorithm}")
    if algorithm != "spin":  # HMR's network
        assert tuple(code.BACKBONES) == ALGORITHMS[algorithm].backbones
    assert callable(code.build) and callable(code.losses)


def test_a_recipe_can_be_made_in_code():
    values = load_recipe("hmr_normal").as_dict()
    assert Recipe.model_validate(values, strict=False).as_dict() == values
    values["losses"]["rotmat"]["kind"] = "exp"
    with pytest.raises(ValidationError, match="expected l1 or mse or smooth_l1, found exp"):
        Recipe.model_validate(values, strict=False)


PATHS = {
    "data.mixture.h36m.annotations": ("hmr_l1", "{annotations: h36m_mosh_train.npz", "{annotations: NAME"),
    "adversary.annotations": ("hmr_l1", "{annotations: cmu_mosh.npz}", "{annotations: NAME}"),
    "network.initialisation.backbone": ("hmr_l1", "{backbone: resnet50-0676ba61.pth", "{backbone: NAME"),
    "network.mean_parameters": ("hmr_l1", "mean_parameters: smpl_mean_params.npz", "mean_parameters: NAME"),
    "in_the_loop.pose_prior": ("spin_l1", "pose_prior: gmm_08.pkl", "pose_prior: NAME"),
    "data.mixture.h36m.fits": ("spin_l1", "fits: h36m_fits.npy", "fits: NAME"),
    "evaluation.annotations": ("hmr_l1", "annotations: pw3d_test.npz", "annotations: NAME"),
    "exports.network": ("hmr_l1", "exports: {network: hmr_l1.safetensors}", "exports: {network: NAME}"),
}


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize(
    "name", ["../../x.npz", "/etc/x.npz", "a/../../x.npz", r"..\x.npz", "C:/x.npz", "a/"]
)
def test_a_recipe_file_names_nothing_outside_of_its_folders(tmp_path, key, name):
    recipe, old, new = PATHS[key]
    found, line = refusal(tmp_path, recipe, old, new.replace("NAME", f"'{name}'"))
    place, _, rest = found.removeprefix(":").partition(": ")
    assert int(place) in (line, line + 1)
    assert rest.startswith(f"`{key}`: expected the name of a file in its folder below the data root")


@pytest.mark.parametrize("name", ["..", "a/b", r"a\b", "/a", "a\nb", "x" * 101, ""])
def test_a_recipe_s_name_is_that_of_one_folder(tmp_path, name):
    path, _ = edited(tmp_path, "hmr_l1", "name: hmr_l1", f"name: {json.dumps(name)}")
    with pytest.raises(
        BadInput, match=r"`name`: expected a name of letters, digits, _, - and . alone, found"
    ):
        load_recipe(path)


def test_absolute_paths_are_typed(tmp_path):
    typed = ["evaluation.annotations=/data/t.npz", "data.mixture.h36m.annotations=/data/a.npz"]
    recipe = load_recipe("hmr_l1", [*typed, "exports={network: /data/w.safetensors}"])
    assert recipe.evaluation.annotations == "/data/t.npz"
    with pytest.raises(
        BadInput, match=r"override `evaluation.annotations=\.\./t.npz`: `evaluation.annotations`"
    ):
        load_recipe("hmr_l1", ["evaluation.annotations=../t.npz"])
    # What a run wrote down may be read again from its folder, but not as any file; nor may it name what to write.
    record = tmp_path / "recipe.yaml"
    record.write_text(load_recipe("hmr_l1", typed).dump())
    with pytest.raises(BadInput, match="an absolute path is given as KEY=VALUE"):
        load_recipe(record)
    (tmp_path / "environment.json").write_text("{}")
    assert load_recipe(record) == load_recipe("hmr_l1", typed)
    record.write_text(recipe.dump())
    with pytest.raises(BadInput, match=r"`exports.network`: expected the name of a file"):
        load_recipe(record)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "!!timestamp x",
            "!!bool maybe",
            "!!set {a}",
            "!!binary x",
            "!!omap [a: 1]",
            "!!float x",
            "!!int x",
        ),
        *("[" * 150 + "]" * 150, '"\\ud800"', "{a: " * 90 + "1" + "}" * 90, "-.inf", "9" * 4000, '"\\e[31m"'),
    ],
)
def test_odd_values_are_told_in_plain_words(tmp_path, value):
    found, _ = refusal(tmp_path, "hmr_l1", "epochs: 100", f"epochs: {value}")
    for word in ("validat", "Input", "pydantic", "dict", "tuple", "string", "JSON", "model"):
        assert word not in found.removesuffix("whole recipe"), found
    assert len(found) < 400


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-here/x.yaml", "a\0b.yaml"])
def test_names_that_no_file_can_have_are_no_recipes(name):
    with pytest.raises(BadInput, match=r"no recipe has this name|there is no such recipe file"):
        load_recipe(name)
