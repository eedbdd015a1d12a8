"""One door: file and overrides are merged, then validated once, with all errors at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfcli.errors import RecipeError
from hfcli.recipe.load import dump_recipe, load_recipe
from hfcli.recipe.training import check_extra, training_argument_names
from tests.helpers import RECIPES

GOOD = """\
task:
  name: text-classification
model:
  name_or_path: some/model
data:
  train: [rows.csv]
training:
  learning_rate: 5e-5
  eval_strategy: no
output_dir: out
"""
BAD = {
    "unknown-section": (
        ("training:", "traning:"),
        "7: traning: unknown key, did you mean training?",
    ),
    "unknown-training-key": (
        ("learning_rate", "learning_rte"),
        "8: training.learning_rte: unknown key, did you mean learning_rate?",
    ),
    "unknown-task-key": (
        ("name: text-classification", "name: text-classification\n  lable_column: x"),
        "3: task.lable_column: unknown key, did you mean label_column?",
    ),
    "unknown-data-key": (("train:", "trian:"), "6: data.trian: unknown key, did you mean train?"),
    "unknown-model-key": (
        ("name_or_path:", "name_or_pth:"),
        "4: model.name_or_pth: unknown key, did you mean name_or_path?",
    ),
    "unknown-task": (
        ("text-classification", "text-clasification"),
        "did you mean text-classification?",
    ),
    "no-task-name": (("name: text", "text_column: text"), "1: task: needs a name, one of"),
    "not-a-number": (("5e-5", "fast"), "8: training.learning_rate: input should be a valid number"),
    "out-of-range": (("5e-5", "-1"), "8: training.learning_rate: input should be greater than 0"),
    "wrong-choice": (("eval_strategy: no", "eval_strategy: off"), "9: training.eval_strategy: "),
    "old-name": (
        ("eval_strategy", "evaluation_strategy"),
        "9: training.evaluation_strategy: unknown key, use eval_strategy",
    ),
    "upstream-name": (
        ("eval_strategy: no", "neftune_noise_alpha: 5"),
        "it is a TrainingArguments name: put it under training.extra",
    ),
    "other-section": (
        ("eval_strategy: no", "validation_size: 0.1"),
        "unknown key here, it belongs under data",
    ),
    "extra-typo": (
        ("eval_strategy: no", "extra: {neftune_noise_alfa: 5}"),
        "not a TrainingArguments name, did you mean neftune_noise_alpha?",
    ),
    "extra-typed": (
        ("eval_strategy: no", "extra: {weight_decay: 1}"),
        "weight_decay belongs directly under training",
    ),
    "extra-gone": (("eval_strategy: no", "extra: {evaluation_strategy: no}"), "use eval_strategy"),
    "extra-owned": (("eval_strategy: no", "extra: {use_cpu: true}"), "set device at the top"),
    "best-without-evaluation": (
        ("eval_strategy: no", "eval_strategy: no\n  load_best_model_at_end: true"),
        "load_best_model_at_end needs eval_strategy equal to save_strategy",
    ),
    "steps-without-number": (("eval_strategy: no", "eval_strategy: steps"), "needs eval_steps"),
    "other-task": (
        ("name: text-classification", "name: text-classification\n  block_size: 8"),
        "3: task.block_size: unknown key, it belongs to the task text-generation",
    ),
    "owned": (("eval_strategy: no", "seed: 3"), "unknown key here: set it at the top"),
    "bf16": (("eval_strategy: no", "bf16: maybe"), "training.bf16: must be true, false or auto"),
    "no-data": (("train: [rows.csv]", "max_samples: 5"), "give at least one of train"),
    "no-model": (("name_or_path: some/model", "revision: main"), "give either name_or_path"),
    "scratch-typo": (
        (
            "name_or_path: some/model",
            "config: {model_type: gpt2, n_layers: 2}\n  tokenizer_vocab_size: 300",
        ),
        r"unknown gpt2 configuration key(s) ['n_layers']",
    ),
    "unknown-metric": (
        ("output_dir: out", "evaluation: {metrics: [acuracy]}"),
        "unknown metric 'acuracy', did you mean accuracy?",
    ),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_recipe_has_its_values(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert recipe.training.learning_rate == 5e-5
    assert recipe.training.eval_strategy == "no"
    assert recipe.data.train == [str(tmp_path / "rows.csv")]
    assert recipe.output_dir == tmp_path / "out"


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_a_wrong_recipe_names_file_line_and_way_out(
    change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    assert change[0] in GOOD
    path = write(tmp_path, GOOD.replace(*change, 1))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("5e-5", "fast").replace("train:", "trian:").replace("output_", "outptu_")
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, text), ["seed=-1"])
    assert len(caught.value.message.splitlines()) == 4
    assert "--set seed: input should be greater than" in caught.value.message


def test_overrides_are_read_as_yaml_and_win(tmp_path: Path) -> None:
    overrides = [
        "training.learning_rate=1e-3",
        "evaluation.metrics=[accuracy, f1_macro]",
        "generation.temperature=0.5",
        "task.text_column=a=b",
    ]
    recipe = load_recipe(write(tmp_path, GOOD), overrides)
    assert recipe.training.learning_rate == 1e-3
    assert recipe.evaluation.metrics == ["accuracy", "f1_macro"]
    assert recipe.generation.temperature == 0.5
    assert recipe.task.columns()[0] == "a=b"


@pytest.mark.parametrize("override", ["seed", "=3", "a..b=1", "seed.x=1", "seed=[1"])
def test_a_malformed_override_is_an_error(override: str, tmp_path: Path) -> None:
    text = GOOD + "seed: 3\n"
    with pytest.raises(RecipeError, match="--set "):
        load_recipe(write(tmp_path, text), [override])


def test_paths_are_relative_to_the_recipe_and_in_overrides_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "model").mkdir(parents=True)
    (tmp_path / "recipes" / "model").mkdir(parents=True)
    path = write(tmp_path / "recipes", GOOD.replace("some/model", "model"))
    monkeypatch.chdir(tmp_path / "here")
    own = load_recipe(path)
    assert own.model.name_or_path == str(tmp_path / "recipes" / "model")
    typed = load_recipe(path, ["data.train=other.csv", "output_dir=x", "model.name_or_path=model"])
    assert typed.data.train == [str(tmp_path / "here" / "other.csv")]
    assert typed.output_dir == tmp_path / "here" / "x"
    assert typed.model.name_or_path == str(tmp_path / "here" / "model")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_dumped_recipe_is_the_same_recipe(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    assert load_recipe(write(tmp_path, dump_recipe(recipe))) == recipe


def test_a_dumped_recipe_keeps_words_that_look_like_numbers_and_nulls(tmp_path: Path) -> None:
    text = GOOD.replace("some/model", "some/model\n  revision: '12345e67'")
    recipe = load_recipe(write(tmp_path, text), ["training.save_total_limit=null"])
    assert recipe.model.revision == "12345e67"
    again = load_recipe(write(tmp_path, dump_recipe(recipe)))
    assert again == recipe
    assert again.training.save_total_limit is None


def test_an_override_is_named_when_it_is_wrong(tmp_path: Path) -> None:
    for override, key in (("trainin.seed=1", "trainin"), ("seed.x=3", "seed")):
        with pytest.raises(RecipeError, match=f"--set {override.split('=')[0]}: {key}: "):
            load_recipe(write(tmp_path, GOOD), [override])


def test_an_empty_section_has_its_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD + "evaluation:\n"))
    assert recipe.evaluation.batch_size is None


def test_a_missing_recipe_suggests_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(RecipeError, match="no such recipe") as caught:
        load_recipe(tmp_path / "recipee.yaml")
    assert caught.value.hint is not None
    assert "recipe.yaml" in caught.value.hint


PLAIN = "task: {name: text-generation}\nmodel: {name_or_path: some/model}\n"
NOT_PLAIN = {
    "labels": "task={name: text-classification}",
    "completions": "task={name: text-generation, prompt_column: q, completion_column: a}",
    "chat": "task={name: text-generation, messages_column: m}",
}


@pytest.mark.parametrize("task", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_only_plain_text_is_cut_for_validation(task: str, tmp_path: Path) -> None:
    text = f"{PLAIN}data: {{train: a.txt, validation_from: end}}\n"
    path = write(tmp_path, text)
    assert load_recipe(path).data.validation_from == "end"
    with pytest.raises(RecipeError, match="goes with plain text only"):
        load_recipe(path, [task])


def test_data_in_place_of_a_recipe_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    with pytest.raises(RecipeError, match="not a recipe, but a data file") as caught:
        load_recipe(tmp_path / "rows.csv")
    assert f"hfcli recipes init --data {tmp_path / 'rows.csv'}" in str(caught.value.hint)


def test_no_argument_of_training_reaches_the_hub() -> None:
    """transformers' Trainer creates the repository when it is made: in a dry run, too."""
    hub = [n for n in training_argument_names() if n.startswith("hub_") or n == "push_to_hub"]
    assert {"push_to_hub", "hub_token", "hub_model_id"} <= set(hub)
    for name in hub:
        assert "--push-to-hub" in (check_extra(name, ()) or ""), name


def test_a_renamed_key_keeps_its_old_name_with_a_notice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(
        "task: {name: text-generation}\nmodel: {name_or_path: bundled}\ndata: {train: a.txt}\n"
        "training:\n  plain: [memory]\n",
        encoding="utf-8",
    )
    assert load_recipe(path).training.disable_optimizations == ["memory"]
    notice = "note: training.plain is called training.disable_optimizations now"
    assert caplog.messages == [notice]
    with pytest.raises(RecipeError, match=r"^--set training.plain: "):
        load_recipe(path, ["training.plain=[memry]"])
    caplog.clear()
    load_recipe(path, ["training.plain=[]"])
    assert caplog.messages == [], "an empty list is what earlier versions wrote into each run"
