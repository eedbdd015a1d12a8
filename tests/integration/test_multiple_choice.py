"""Laws of multiple choice: reading the prompt once gives what reading it for every choice gives."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from hfcli.device import resolve_device
from hfcli.errors import DataError
from hfcli.evaluation import prompt_tasks
from hfcli.evaluation.loglikelihood import Pick, can_share, encode_pick, nll_of
from hfcli.evaluation.predictions import metric_inputs, read_predictions
from hfcli.metrics import shipped_metrics
from hfcli.models.load import LoadedModel, load_model
from hfcli.models.resolve import resolve_model
from hfcli.results import Event, RowsScored
from hfcli.tasks.multiple_choice import MultipleChoice
from hfcli.tasks.text_generation import TextGeneration
from tests.asking import asked, write_jsonl
from tests.conftest import SENTENCES

TASK = MultipleChoice.model_fields["name"].default
KINDS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "llama": {"model_type": "llama", "num_key_value_heads": 1},
    "mistral": {"model_type": "mistral", "num_key_value_heads": 1, "sliding_window": 4},
    "bloom": {"model_type": "bloom"},
    "falcon": {"model_type": "falcon", "alibi": True},
}
SHARING = {"gpt2", "llama"}  # a sliding window and ALiBi depend on where a token stands
ROWS = [
    {"prompt": "The harbour was quiet", "choices": ["and the boats", "or", "answered"], "label": 0},
    {
        "prompt": "She asked the keeper ",
        "choices": ["when the lamp would be lit", "no"],
        "label": 1,
    },
    {"prompt": "Nobody\n", "choices": ["answered, for the wind", "lay", "was sold."], "label": 0},
    {"prompt": "", "choices": ["In the morning", "the market"], "label": 1},
    {"prompt": "In the morning the market", "choices": ["opened", "lit", "still", "w"], "label": 0},
]


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.fixture(scope="module", params=KINDS)
def loaded(request: pytest.FixtureRequest, tiny_gpt2: Path, tmp_path_factory: Any) -> LoadedModel:
    """The tiny GPT-2 and models with other ways to attend, all with its tokenizer."""
    folder, kind = tiny_gpt2, dict(KINDS[request.param])
    if kind:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        folder = tmp_path_factory.mktemp(request.param)
        tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
        tokenizer.save_pretrained(folder)
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = AutoConfig.for_model(
            kind.pop("model_type"), vocab_size=len(tokenizer), intermediate_size=64,
            max_position_embeddings=64, initializer_range=0.3, **sizes, **kind,
        )  # fmt: skip
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return load_model(
        source=resolve_model(str(folder), offline=True),
        task=TextGeneration(),
        dtype=torch.float32,
        placement=resolve_device("cpu"),
    )


def picks_of(loaded: LoadedModel) -> list[Pick]:
    task = MultipleChoice()
    items = [task.item("here", row) for row in ROWS]
    return [
        encode_pick(loaded.tokenizer, i.prompt, [task.joined(i.prompt, c) for c in i.choices])
        for i in items
    ]


def by_lm_eval(loaded: LoadedModel, context: str, continuation: str) -> float:
    """lm-evaluation-harness: `TemplateLM._encode_pair` and `HFLM._loglikelihood_tokens`."""
    tokenizer: Any = loaded.tokenizer
    n_spaces = len(context) - len(context.rstrip())
    if n_spaces > 0:
        continuation = context[-n_spaces:] + continuation
        context = context[:-n_spaces]
    whole = tokenizer.encode(context + continuation, add_special_tokens=False)
    before = tokenizer.encode(context, add_special_tokens=False)
    if context:
        after = whole[len(before) :]
    else:
        before, after = [tokenizer.bos_token_id or tokenizer.eos_token_id], whole
    ids = torch.tensor([(before + after)[:-1]])
    with torch.inference_mode():
        logits = loaded.model(input_ids=ids, use_cache=False).logits[0, -len(after) :]
    chances = torch.log_softmax(logits.double(), dim=-1)
    return float(chances.gather(1, torch.tensor(after)[:, None]).sum())


def test_choices_cost_what_lm_eval_says(loaded: LoadedModel) -> None:
    task, picks = MultipleChoice(), picks_of(loaded)
    share = can_share(loaded.model, max(pick.longest for pick in picks))
    assert share == (loaded.model.config.model_type in SHARING)
    found = nll_of(loaded.model, picks, share=share)
    for row, costs in zip(ROWS, found, strict=True):
        prompt = str(row["prompt"])
        texts = [task.joined(prompt, choice) for choice in row["choices"]]  # type: ignore[attr-defined]
        expected = [-by_lm_eval(loaded, prompt, text) for text in texts]
        assert costs == pytest.approx(expected, abs=1e-5, rel=1e-6)


def test_a_batch_and_a_shared_prompt_change_nothing(loaded: LoadedModel) -> None:
    model, picks = loaded.model, picks_of(loaded)
    # More columns than the model has positions, and no choice that needs as many.
    picks.append(Pick(range(9, 67), [range(9, 16), range(20, 27), range(40, 42)]))
    assert picks[-1].read > 64 >= picks[-1].longest
    singles = [one for pick in picks for one in pick.apart()]
    alone = [nll_of(model, [one], share=False)[0][0] for one in singles]
    for share in {False, can_share(model, 64)}:
        together = nll_of(model, picks, share=share)
        by_row = [nll_of(model, [pick], share=share)[0] for pick in picks]
        assert [*chain(*together)] == pytest.approx(alone, abs=1e-5, rel=1e-6)
        assert [*chain(*by_row)] == pytest.approx(alone, abs=1e-5, rel=1e-6)


def test_a_prompt_is_read_once(loaded: LoadedModel) -> None:
    pick, read = picks_of(loaded)[0], []
    model: Any = loaded.model
    share = can_share(model, 64)
    hook = model.register_forward_pre_hook(
        lambda _model, _args, given: read.append(given["input_ids"].numel()), with_kwargs=True
    )
    nll_of(model, [pick], share=share)
    hook.remove()
    assert read == [pick.read if share else pick.read_apart]
    assert pick.read < pick.read_apart


def test_the_other_way_to_attend_gives_the_same(tiny_gpt2: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = []
    for attention in ("eager", "sdpa"):
        model = AutoModelForCausalLM.from_pretrained(tiny_gpt2, attn_implementation=attention)
        model.eval()
        pick = encode_pick(AutoTokenizer.from_pretrained(tiny_gpt2), "The", [" harbour", " wind"])
        assert can_share(model, 64)
        found += nll_of(model, [pick], share=True)
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_white_space_before_a_choice_belongs_to_it(tiny_gpt2: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    one = encode_pick(tokenizer, "The harbour ", ["was", "is"])
    assert one == encode_pick(tokenizer, "The harbour", [" was", " is"])
    assert tokenizer.decode([*one.context]) == "The harbour"
    assert [tokenizer.decode([*choice]) for choice in one.choices] == [" was", " is"]
    with pytest.raises(DataError, match="no token of its own"):
        encode_pick(tokenizer, "The harbour", [""])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve rows, one of them longer than the model's 64 positions."""
    rows = [
        {**ROWS[i % 5], "prompt": f"{SENTENCES[i % 4]} {ROWS[i % 5]['prompt']}"} for i in range(11)
    ]
    return write_jsonl(tmp_path / "data.jsonl", [{**ROWS[0], "prompt": "the wind " * 80}, *rows])


def test_the_scores_are_those_of_the_file(tiny_gpt2: Path, data: Path, tmp_path: Path) -> None:
    result = asked(TASK, tiny_gpt2, data, tmp_path / "run")
    rows = list(read_predictions(tmp_path / "run" / "predictions.jsonl"))
    assert (len(rows), result.n_rows, result.n_skipped) == (12, 11, 1)
    assert "the model takes 64" in rows[0]["error"]
    inputs = metric_inputs(rows, None)
    for name in ("acc", "acc_norm"):
        metric = shipped_metrics()[name]
        again = metric.compute(**{key: inputs[key] for key in metric.inputs})
        assert again == result.metrics[name]
        assert result.intervals[name]["method"] == "Wilson"
    scored = [row for row in rows if row["error"] is None]
    right = [row["prediction"] == row["gold"] for row in scored]
    assert sum(right) / len(right) == result.metrics["acc"]
    assert all(row["nll"][row["prediction"]] == min(row["nll"]) for row in scored)
    assert all(row["n_bytes"] == [len(c.encode()) for c in row["choices"]] for row in scored)


def test_metrics_of_labels_take_choices_and_those_of_texts_do_not(
    tiny_gpt2: Path, data: Path, tmp_path: Path
) -> None:
    names = ["acc", "accuracy", "f1_macro"]
    found = asked(TASK, tiny_gpt2, data, tmp_path / "run", metric=names).metrics
    assert list(found) == names
    assert found["acc"] == found["accuracy"]
    with pytest.raises(DataError, match="exact_match is not for labels of this kind"):
        asked(TASK, tiny_gpt2, data, tmp_path / "run", metric=["exact_match"])


def test_a_killed_evaluation_goes_on_and_gives_the_same_file(
    tiny_gpt2: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = asked(TASK, tiny_gpt2, data, tmp_path / "whole", batch_size=3)

    def kill(event: Event) -> None:
        if isinstance(event, RowsScored) and event.done >= 6:
            raise Killed

    with pytest.raises(Killed):
        asked(TASK, tiny_gpt2, data, tmp_path / "run", batch_size=3, listener=kill)
    seen: list[int] = []

    def count(model: Any, picks: Any, *, share: bool) -> Any:
        seen.append(len(picks))
        return nll_of(model, picks, share=share)

    monkeypatch.setattr(prompt_tasks, "nll_of", count)
    again = asked(TASK, tiny_gpt2, data, tmp_path / "run", batch_size=3)
    assert sum(seen) == 5, "what was scored is not scored again"
    assert any("resuming: 6 of" in note for note in again.notes)
    files = [(tmp_path / d / "predictions.jsonl").read_bytes() for d in ("whole", "run")]
    assert files[0] == files[1]
    assert repr((whole.metrics, whole.intervals)) == repr((again.metrics, again.intervals))


def test_examples_stand_before_the_prompt(tiny_gpt2: Path, data: Path, tmp_path: Path) -> None:
    examples = write_jsonl(tmp_path / "examples.jsonl", ROWS[:3])
    flags: dict[str, Any] = {"few_shot": str(examples), "num_fewshot": 1}
    shown = asked(TASK, tiny_gpt2, data, tmp_path / "shown", **flags)
    bare = asked(TASK, tiny_gpt2, data, tmp_path / "bare")
    assert shown.data_sha256 == bare.data_sha256
    assert shown.settings["task"]["few_shot_sha256"]
    one, other = (
        next(
            row
            for row in read_predictions(tmp_path / name / "predictions.jsonl")
            if not row["error"]
        )
        for name in ("shown", "bare")
    )
    assert one["text"] == other["text"]
    assert one["nll"] != other["nll"]
