"""Whatever a model's folder holds, loading it ends in a model or in one line, in bounded time."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfcli.device import Placement
from hfcli.errors import HfcliError, ModelError, RunError
from hfcli.foreign import foreign_errors, forward_errors
from hfcli.models.load import LoadedModel, load_model
from hfcli.models.preflight import SizeLimit
from hfcli.models.resolve import ModelSource, resolve_model
from hfcli.tasks.text_generation import TextGeneration
from tests.fuzz.tiny import build_adapter

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

Change = Callable[[Path], object]


def load(folder: Path, **options: Any) -> LoadedModel:
    import torch

    return load_model(
        source=resolve_model(str(folder)),
        task=TextGeneration(),
        dtype=torch.float32,
        placement=Placement(torch.device("cpu")),
        **options,
    )


def put(name: str, **values: Any) -> Change:
    """A change of keys of a JSON file, which need not be there."""

    def change(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**content, **values}))

    return change


def write(name: str, content: str | bytes) -> Change:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def huge_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])


def folder_for_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


WHOLE = {
    f"{name} is {content[:9]!r}": write(name, content)
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json")
    for content in ("null", "[]", "5", "", "[" * 100_000, "\udc80".encode("utf-8", "surrogatepass"))
}
VALUES: dict[str, Change] = {
    "n_embd 0": put("config.json", n_embd=0),
    "n_head 0": put("config.json", n_head=0),
    "n_head text": put("config.json", n_head="x"),
    "n_head 3": put("config.json", n_head=3),
    "layers 1e9": put("config.json", n_layer=10**9),
    "layers 5000": put("config.json", n_layer=5000),
    "layers -1": put("config.json", n_layer=-1),
    "nested layers": put("config.json", text_config={"num_hidden_layers": 10**9}),
    "labels 1e9": put("config.json", num_labels=10**9),
    "vocabulary 1e12": put("config.json", vocab_size=10**12),
    "width 1e6": put("config.json", n_embd=10**6, n_head=1),
    "inner 1e30": put("config.json", n_inner=10**30),
    "dtype x": put("config.json", dtype="x"),
    "id2label 5": put("config.json", id2label=5),
    "rope 5": put("config.json", model_type=5),
    "unknown type": put("config.json", model_type="nope"),
    "activation": put("config.json", activation_function="nope"),
    "eos x": put("generation_config.json", eos_token_id="x"),
    "beams 1e6": put("generation_config.json", num_beams=10**6),
    "penalty 0": put("generation_config.json", repetition_penalty=0),
    "top_p x": put("generation_config.json", top_p="x"),
    "temperature NaN": put("generation_config.json", temperature=float("nan")),
    "bad words": put("generation_config.json", bad_words_ids=[5]),
    "class 5": put("tokenizer_config.json", tokenizer_class=5),
    "pad 5": put("tokenizer_config.json", pad_token=5),
    "length x": put("tokenizer_config.json", model_max_length="x"),
    "added": put("tokenizer_config.json", added_tokens_decoder={"x": 5}),
    "model of tokenizer": put("tokenizer.json", model={"type": "nope"}),
    "regex": put("tokenizer.json", normalizer={"type": "Replace", "pattern": {"Regex": "("}}),
    "cut weights": cut_weights,
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "folder for weights": folder_for_weights,
    "huge header": huge_header,
    "text for weights": write("model.safetensors", "not weights at all"),
}
INDEXES: dict[str, Any] = {
    "a list": [],
    "a number in it": {"weight_map": 5},
    "a number for a file": {"weight_map": {"a": 5}},
    "no metadata": {"weight_map": {}, "metadata": 5},
    "absolute": {"weight_map": {"a": "{outside}"}, "metadata": {}},
    "parent": {"weight_map": {"a": "../outside.safetensors"}, "metadata": {}},
    "parent within": {"weight_map": {"a": "x/../../outside.safetensors"}, "metadata": {}},
    "link": {"weight_map": {"a": "link.safetensors"}, "metadata": {}},
    "loop": {"weight_map": {"a": "loop.safetensors"}, "metadata": {}},
    "zero": {"weight_map": {"a": "x\x00y"}, "metadata": {}},
    "nothing": {"weight_map": {"a": ""}, "metadata": {}},
}


@pytest.fixture
def model(tiny_gpt2: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_gpt2, tmp_path / "model"))


@pytest.mark.parametrize("change", [*WHOLE.values(), *VALUES.values()], ids=[*WHOLE, *VALUES])
def test_any_content_ends_in_a_model_or_in_one_line(model: Path, change: Change) -> None:
    change(model)
    start = time.process_time()
    error = error_of(model)
    assert time.process_time() - start < 5
    if error is not None:
        assert isinstance(error, ModelError), error
        assert len(error.message.splitlines()) == 1
        assert len(error.message) < 400 + len(str(model))


def error_of(model: Path) -> HfcliError | None:
    """What loading the model and computing with it raises, if it is an error of hfcli's."""
    import torch

    try:
        loaded = load(model)
        with forward_errors(loaded.model):
            loaded.model(input_ids=torch.tensor([[1, 2, 3]]))
    except HfcliError as e:
        return e
    return None


def test_most_of_these_are_refused(model: Path) -> None:
    """The law above would hold for a loader that ignores what it is given."""
    sound = {name: (model / name).read_bytes() for name in os.listdir(model)}
    refused = 0
    for change in VALUES.values():
        change(model)
        refused += error_of(model) is not None
        shutil.rmtree(model)
        model.mkdir()
        for name, data in sound.items():
            (model / name).write_bytes(data)
    assert refused >= 0.8 * len(VALUES)
    load(model)  # and the sound one is not


@pytest.mark.parametrize("content", INDEXES.values(), ids=INDEXES)
def test_an_index_names_only_files_of_its_folder(model: Path, content: Any) -> None:
    outside = model.parent / "outside.safetensors"
    (model / "model.safetensors").rename(outside)
    (model / "x").mkdir()
    (model / "link.safetensors").symlink_to(outside)
    (model / "loop.safetensors").symlink_to("loop.safetensors")
    text = json.dumps(content).replace("{outside}", str(outside))
    (model / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match=r"model\.safetensors\.index\.json: "):
        load(model)


def test_an_index_may_name_blobs_of_the_hub_cache(model: Path) -> None:
    """There, files of a snapshot are links; a link to anywhere else is refused there, too."""
    cache = model.parent / "models--a--b"
    snapshot, blobs = cache / "snapshots" / ("0" * 40), cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for i, path in enumerate(sorted(model.iterdir())):
        path.rename(blobs / str(i))
        (snapshot / path.name).symlink_to(f"../../blobs/{i}")
    (snapshot / "model.safetensors").rename(snapshot / "part.safetensors")
    from safetensors import safe_open

    with safe_open(snapshot / "part.safetensors", framework="pt") as file:
        names = dict.fromkeys(file.keys(), "part.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": names}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load(snapshot).new_weights == ()
    (cache / "secret").write_bytes((snapshot / "part.safetensors").read_bytes())
    (snapshot / "part.safetensors").unlink()
    (snapshot / "part.safetensors").symlink_to("../../secret")
    with pytest.raises(ModelError, match="not inside the model's folder"):
        load(snapshot)


def test_sizes_are_those_of_the_files_and_of_the_machine(model: Path) -> None:
    source = ModelSource("m", model)
    held = (model / "model.safetensors").stat().st_size
    limit = SizeLimit(source, memory=None, itemsize=4)
    limit.count("empty", held)
    with pytest.raises(ModelError, match="far larger model than"):
        limit.count("empty", 10**12)
    limit = SizeLimit(source, memory=1000, itemsize=4)
    limit.count("empty", 250)
    with pytest.raises(RunError, match="out of memory"):
        limit.count("empty", 1)
    limit = SizeLimit(source, memory=None, itemsize=4)
    limit.tensors = 100_000
    with pytest.raises(ModelError):
        limit.count("ones", 1)


def test_a_model_with_its_adapter_can_be_trained_further(model: Path, tmp_path: Path) -> None:
    build_adapter(model, tmp_path / "adapter")
    loaded = load(tmp_path / "adapter")
    trained = [parameter.requires_grad for parameter in loaded.model.parameters()]
    assert trained
    assert all(trained)


def test_a_token_without_an_embedding_is_named(model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(model)
    with pytest.raises(ModelError, match=r"has 301 tokens, the model 300: '<new>' has no") as e:
        load(model)
    assert "drop the added tokens" in str(e.value.hint)
    assert "resize_token_embeddings(301)" in str(e.value.hint)


class Vocabulary(dict[str, int]):
    """A tokenizer without added tokens."""

    def get_vocab(self) -> dict[str, int]:
        return self

    def get_added_vocab(self) -> dict[str, int]:
        return {}


def test_a_tokenizer_with_other_tokens_than_the_model_is_of_another_family(model: Path) -> None:
    """A few tokens too many are named, whether they were added or are of the vocabulary."""
    from hfcli.models.load import FEW_TOKENS, _check_vocabulary

    loaded = load(model)
    rows = loaded.model.config.vocab_size
    for n, told in ((1, "'w300' has no"), (FEW_TOKENS, "'w300', 'w301'"), (FEW_TOKENS + 1, None)):
        tokenizer: Any = Vocabulary({f"w{i}": i for i in reversed(range(rows + n))})
        with pytest.raises(ModelError) as e:
            _check_vocabulary(tokenizer, loaded.model, loaded.source)
        assert (told or "") in e.value.message
        assert ("same family" in str(e.value.hint)) is (told is None)


def test_a_configuration_that_only_the_forward_pass_contradicts(model: Path) -> None:
    import torch

    loaded = load(model)
    with pytest.raises(ModelError, match="computing with it fails"), forward_errors(loaded.model):
        loaded.model(input_ids=torch.tensor([[10**6]]))
    with pytest.raises(MemoryError), forward_errors(loaded.model):
        raise MemoryError  # callers try smaller batches
    told = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB"
    with pytest.raises(RuntimeError, match="allocate"), forward_errors(loaded.model):
        raise RuntimeError(told)
    with pytest.raises(RunError, match="memory"), foreign_errors(ModelError, "x"):
        raise RuntimeError(told)
    with pytest.raises(OSError, match="disk"), forward_errors(loaded.model):
        raise OSError(28, "disk")
