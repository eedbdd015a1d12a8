"""Laws of adapters: merged equals unmerged, only the adapter learns, and what is saved loads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors import safe_open

from hfcli.device import Placement
from hfcli.errors import ModelError, RecipeError, RunError
from hfcli.models.adapter import quiet_peft, resolve_chain, save
from hfcli.models.fingerprint import begin_fingerprint, weights_fingerprint
from hfcli.models.load import LoadedModel, ensure_pad_token, load_model
from hfcli.models.lora import add_lora
from hfcli.models.merge import merge_adapter
from hfcli.models.resolve import resolve_model
from hfcli.models.task import guess_task
from hfcli.models.tokenizer import PAD_TOKEN
from hfcli.recipe.sections import LoraSection
from hfcli.tasks.base import Task
from hfcli.tasks.text_classification import TextClassification
from hfcli.tasks.text_generation import TextGeneration

LABELS = ["calm", "storm", "wind"]
CASES = {
    "gpt2": ("padless_gpt2", TextGeneration()),
    "llama": ("tiny_llama", TextGeneration()),
    "gpt2-classifier": ("padless_gpt2", TextClassification()),
    "llama-classifier": ("tiny_llama", TextClassification()),
    "bert-classifier": ("tiny_bert", TextClassification()),
    "bert-without-pooler": ("headless_bert", TextClassification()),
    "distilbert-classifier": ("tiny_distilbert", TextClassification()),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"r": 2, "use_dora": True},
    {"use_rslora": True, "init_lora_weights": "gaussian", "bias": "all", "lora_dropout": 0.5},
]


@pytest.fixture(scope="session")
def padless_gpt2(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_gpt2` with a vocabulary that lacks hfcli's pad token: its embeddings have to grow."""
    folder = shutil.copytree(tiny_gpt2, tmp_path_factory.mktemp("padless") / "gpt2")
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    assert PAD_TOKEN in text
    (folder / "tokenizer.json").write_text(text.replace(PAD_TOKEN, "<|o|>"), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_llama(padless_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama whose head is not tied, with the tokenizer of `padless_gpt2`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = with_tokenizer(padless_gpt2, tmp_path_factory.mktemp("tiny-llama"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.3, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def headless_bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT trained for masked words only, whose pooler starts at random as a classifier."""
    from transformers import BertConfig, BertForMaskedLM

    folder = with_tokenizer(tiny_bert, tmp_path_factory.mktemp("headless-bert"))
    BertForMaskedLM(BertConfig.from_pretrained(tiny_bert)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_distilbert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DistilBERT encoder; its classifier has two new layers."""
    from transformers import BertConfig, DistilBertConfig, DistilBertModel

    folder = with_tokenizer(tiny_bert, tmp_path_factory.mktemp("tiny-distilbert"))
    words = BertConfig.from_pretrained(tiny_bert).vocab_size
    config = DistilBertConfig(
        vocab_size=words, dim=32, n_layers=2, n_heads=2, hidden_dim=48, max_position_embeddings=64
    )
    DistilBertModel(config).save_pretrained(folder)
    return folder


def with_tokenizer(source: Path, folder: Path) -> Path:
    for path in source.glob("tokenizer*"):
        shutil.copy(path, folder)
    return folder


def load(folder: Path, task: Task, *, train: bool = True) -> LoadedModel:
    labels = Dataset.from_dict({"text": ["x"] * 3, "label": LABELS})
    torch.manual_seed(1)
    loaded = load_model(
        source=resolve_model(str(folder)),
        task=task,
        dtype=torch.float32,
        placement=Placement(torch.device("cpu")),
        config_overrides=task.config_overrides(labels) if train else None,
        new_head=train,
    )
    ensure_pad_token(loaded)
    return loaded


def adapted(folder: Path, task: Task, **options: Any) -> LoadedModel:
    """A model with an adapter that is not the zero it starts as."""
    loaded = add_lora(
        loaded=load(folder, task), section=LoraSection.model_validate(options), task=task
    )
    torch.manual_seed(2)
    for name, parameter in loaded.model.named_parameters():
        if parameter.requires_grad and ("lora_B" in name or "modules_to_save" in name):
            torch.nn.init.normal_(parameter, std=0.1)
    return loaded


def logits(model: Any, *, vocabulary: int = 30) -> torch.Tensor:
    ids = torch.arange(2 * 7).reshape(2, 7) * 3 % vocabulary + 1
    with torch.inference_mode():
        out: torch.Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return out


def trainable(model: Any) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("fixture", "task"), CASES.values(), ids=CASES.keys())
def test_saved_and_loaded_equals_the_adapter_in_memory(
    fixture: str, task: Task, options: dict[str, Any], request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:  # fmt: skip
    """`load_model` merges, so this is also: merged equals unmerged."""
    folder = request.getfixturevalue(fixture)
    loaded = adapted(folder, task, **options)
    expected = logits(loaded.model)
    save(loaded.model, tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    again = load(tmp_path, task, train=False)
    torch.testing.assert_close(logits(again.model), expected, atol=1e-5, rtol=0)
    base = logits(load(folder, task).model)
    assert (base - expected).abs().max() > 1e-2, "an adapter that does nothing proves nothing"
    assert again.model.config.id2label == loaded.model.config.id2label
    assert guess_task(resolve_model(str(tmp_path))) == task.name
    told = weights_fingerprint(again.source, *again.parts)
    assert begin_fingerprint(resolve_model(str(tmp_path)))() == told
    assert told != weights_fingerprint(again.source), "the base counts"


@pytest.mark.parametrize("case", ["gpt2", "llama-classifier", "bert-without-pooler"])
def test_an_exported_model_is_whole_and_equals_base_and_adapter(
    case: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    fixture, task = CASES[case]
    loaded = adapted(request.getfixturevalue(fixture), task)
    expected = logits(loaded.model)
    loaded.model.config.use_cache = False  # as Trainer leaves it
    save(loaded.model, tmp_path / "run")
    loaded.tokenizer.save_pretrained(tmp_path / "run")
    (tmp_path / "run" / "recipe.yaml").write_text("seed: 1\n")
    result = merge_adapter(name=str(tmp_path / "run"), folder=tmp_path / "deep" / "merged")
    folder = Path(result.output)
    model, info = task.auto_class().from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    torch.testing.assert_close(logits(model.eval()), expected, atol=1e-5, rtol=0)
    assert model.config.use_cache is True
    assert model.config.pad_token_id == loaded.tokenizer.pad_token_id
    assert model.config.id2label == loaded.model.config.id2label
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == len(loaded.tokenizer)
    assert model.can_generate() == (folder / "generation_config.json").is_file()
    assert (folder / "recipe.yaml").read_text() == "seed: 1\n"
    assert result.parameters == sum(p.numel() for p in model.parameters())
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["merged"]


def test_an_export_can_be_in_half_the_bytes(padless_gpt2: Path, tmp_path: Path) -> None:
    loaded = adapted(padless_gpt2, TextGeneration())
    save(loaded.model, tmp_path / "run")
    sizes = []
    for dtype in ("float32", "bfloat16"):
        merge_adapter(name=str(tmp_path / "run"), folder=tmp_path / dtype, dtype=dtype)
        sizes.append((tmp_path / dtype / "model.safetensors").stat().st_size)
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.1)


def test_what_is_no_adapter_is_not_exported_and_nothing_is_overwritten(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="is a whole model, not an adapter"):
        merge_adapter(name=str(tiny_gpt2), folder=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    for target in (tmp_path / "full", tmp_path / "full" / "thesis.txt"):
        with pytest.raises(RunError, match=r"is not empty|is a file"):
            merge_adapter(name=str(tiny_gpt2), folder=target)
    assert (tmp_path / "full" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(("fixture", "task"), CASES.values(), ids=CASES.keys())
def test_only_adapter_and_head_are_trained_and_saved(
    fixture: str, task: Task, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    loaded = adapted(request.getfixturevalue(fixture), task)
    model: Any = loaded.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    ids = torch.arange(14).reshape(2, 7) + 1
    model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.square().sum().backward()
    optimizer.step()
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed == set(trainable(model))
    assert all("lora_" in name or "modules_to_save" in name for name in changed)
    save(model, tmp_path)
    with safe_open(tmp_path / "adapter_model.safetensors", framework="pt") as file:
        saved = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    assert saved == sum(value.numel() for value in trainable(model).values())
    assert sorted(path.suffix for path in tmp_path.iterdir()) in (
        [".json", ".json", ".safetensors"],
        [".json", ".json", ".json", ".safetensors"],  # with a generation_config
    )


def test_the_number_of_trained_parameters_is_that_of_the_formula(
    tiny_gpt2: Path, tiny_llama: Path, tiny_bert: Path
) -> None:
    """r * (in + out) a layer; in each block of GPT-2: c_attn, c_proj, c_fc, c_proj."""

    def count(folder: Path, task: Task, **options: Any) -> int:
        return sum(p.numel() for p in trainable(adapted(folder, task, **options).model).values())

    gpt2 = 2 * 4 * ((32 + 96) + (32 + 32) + (32 + 128) + (128 + 32))
    assert count(tiny_gpt2, TextGeneration(), r=4) == gpt2
    assert count(tiny_gpt2, TextClassification(), r=4) == gpt2 + 3 * 32
    llama = 2 * 8 * ((32 + 32) + 2 * (32 + 16) + (32 + 32) + 3 * (32 + 48))
    assert count(tiny_llama, TextGeneration()) == llama
    assert count(tiny_llama, TextGeneration(), target_modules="q_proj") == 2 * 8 * (32 + 32)
    bert = 2 * 8 * (4 * (32 + 32) + 2 * (32 + 64)) + 8 * (32 + 32)  # and the pooler
    assert count(tiny_bert, TextClassification()) == bert + 3 * 32 + 3


def test_every_key_and_default_of_the_section_is_that_of_peft() -> None:
    from peft import LoraConfig

    theirs = LoraConfig()
    for name, value in LoraSection.model_validate({}):
        assert getattr(theirs, name) == value, name


def test_layers_are_found_and_told_how_they_store_their_weights(
    tiny_gpt2: Path, tiny_llama: Path
) -> None:
    for folder, conv1d in ((tiny_gpt2, True), (tiny_llama, False)):
        config: Any = adapted(folder, TextGeneration()).model.peft_config["default"]
        assert config.fan_in_fan_out is conv1d
        assert "lm_head" not in config.target_modules


def test_plain_peft_reads_the_folder(padless_gpt2: Path, tmp_path: Path) -> None:
    """On the base as it is, whose embeddings have no row for the padding token."""
    from peft import AutoPeftModelForCausalLM, PeftModel
    from transformers import AutoModelForCausalLM

    loaded = adapted(padless_gpt2, TextGeneration())
    expected = logits(loaded.model)
    assert expected.shape[-1] == 301
    save(loaded.model, tmp_path)
    with quiet_peft():
        base = AutoModelForCausalLM.from_pretrained(padless_gpt2)
        onto_base = PeftModel.from_pretrained(base, tmp_path).eval()
        by_name = AutoPeftModelForCausalLM.from_pretrained(tmp_path).eval()
    for model in (onto_base, by_name):
        torch.testing.assert_close(logits(model), expected[..., :300], atol=1e-5, rtol=0)


def test_an_adapter_of_an_adapter_finds_its_way_to_the_model(
    padless_gpt2: Path, tmp_path: Path
) -> None:
    task = TextGeneration()
    first = adapted(padless_gpt2, task)
    save(first.model, tmp_path / "first")
    first.tokenizer.save_pretrained(tmp_path / "first")
    second = adapted(tmp_path / "first", task, target_modules=["c_fc"])
    expected = logits(second.model)
    save(second.model, tmp_path / "second")
    second.tokenizer.save_pretrained(tmp_path / "second")
    chain = resolve_chain(resolve_model(str(tmp_path / "second")))
    assert [source.folder for source in chain] == [
        tmp_path / "second", tmp_path / "first", padless_gpt2
    ]  # fmt: skip
    again = load(tmp_path / "second", task, train=False)
    torch.testing.assert_close(logits(again.model), expected, atol=1e-5, rtol=0)


def test_embeddings_can_be_trained_whole(padless_gpt2: Path, tmp_path: Path) -> None:
    loaded = adapted(padless_gpt2, TextGeneration(), modules_to_save=["wte"])
    expected = logits(loaded.model)
    save(loaded.model, tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    again = load(tmp_path, TextGeneration(), train=False)
    torch.testing.assert_close(logits(again.model), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_modules": ["c_atn"]}, "no linear layer 'c_atn', did you mean c_attn?"),
        ({"target_modules": ["wte"]}, "no linear layer 'wte'"),
        ({"target_modules": ["lm_head"]}, "no linear layer 'lm_head'"),  # tied to the embeddings
        ({"modules_to_save": ["ln_g"]}, "no module 'ln_g', did you mean ln_"),
    ],
)
def test_a_wrong_name_is_named_with_what_there_is(
    options: dict[str, Any], message: str, tiny_gpt2: Path
) -> None:
    with pytest.raises(RecipeError) as caught:
        adapted(tiny_gpt2, TextGeneration(), **options)
    assert message in caught.value.message
    assert caught.value.hint is not None
    assert "c_attn" in caught.value.hint


def test_a_head_that_the_adapter_lacks_is_not_made_up(tiny_gpt2: Path, tmp_path: Path) -> None:
    save(adapted(tiny_gpt2, TextGeneration()).model, tmp_path)
    with pytest.raises(ModelError, match="no trained classification head"):
        load(tmp_path, TextClassification(), train=False)


def test_a_base_that_has_gone_is_named(tiny_gpt2: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_gpt2, tmp_path / "base")
    save(adapted(base, TextGeneration()).model, tmp_path / "adapter")
    shutil.rmtree(base)
    with pytest.raises(ModelError, match=r"adapter: is an adapter, .*base: no such file") as caught:
        load(tmp_path / "adapter", TextGeneration(), train=False)
    assert "adapter_config.json" in str(caught.value.hint)


def test_an_adapter_with_missing_weights_is_refused(tiny_gpt2: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save(adapted(tiny_gpt2, TextGeneration()).model, tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    weights.popitem()
    save_file(weights, tmp_path / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"does not fit its base model .*missing adapter keys"):
        load(tmp_path, TextGeneration(), train=False)


def test_settings_saved_with_the_adapter_are_those_of_the_model(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    loaded = adapted(tiny_gpt2, TextGeneration())
    generation_config: Any = loaded.model.generation_config
    generation_config.max_new_tokens = 7
    save(loaded.model, tmp_path)
    again: Any = load(tmp_path, TextGeneration(), train=False).model
    assert again.generation_config.max_new_tokens == 7
