"""Models and inputs of the benchmark, made here: nothing is downloaded, nothing depends on chance.

    python -m benchmarks.made FOLDER        (what the functions below start when it is not there)

Models have the exact shape of GPT-2 small or of SmolLM2-135M (a Llama), random weights, and a
byte-level BPE tokenizer with as many entries. Texts are invented words, as frequent as words are
(Zipf); the tokenizer has learned them.
"""

from __future__ import annotations

import csv
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT

LANGUAGE_MODEL, CLASSIFIER, LLAMA = "gpt2-small", "gpt2-small-classifier", "smollm2-135m"
LABELS = ("negative", "positive")
VOCABULARY = {LANGUAGE_MODEL: 50_257, CLASSIFIER: 50_257, LLAMA: 49_152}
END = "<|endoftext|>"
WORDS = 60_000  # more than there are tokens, so that rare words are several
ONSETS = ("", *"bcdfghklmnprstvwz", *("br", "ch", "cl", "dr", "fl", "gr", "pl", "sh", "st", "th"))
VOWELS = (*"aeiou", "ai", "ea", "ou")
CODAS = ("", "", "", *"dgklmnrst", "nd", "rt", "st", "ng")
# Words a sentence in SST-2's training sentences: smallest, deciles, largest. (6,920 sentences,
# 18.5 words in the mean; GPT-2 needs about 1.3 tokens a word.)
SST2_WORDS = (2, 7, 10, 13, 15, 18, 20, 23, 27, 31, 51)


def gpt2_small(work: Path) -> Path:
    """The folder of the language model; made once."""
    return _made(work / LANGUAGE_MODEL)


def gpt2_small_classifier(work: Path) -> Path:
    """The folder of a classifier of the labels below, with a random head; made once."""
    return _made(work / CLASSIFIER)


def smollm2_135m(work: Path) -> Path:
    """The folder of the language model with Llama's layers; made once."""
    return _made(work / LLAMA)


def _made(folder: Path) -> Path:
    if not folder.is_dir():
        command = [sys.executable, "-m", "benchmarks.made", str(folder)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
    return folder


def vocabulary() -> tuple[str, ...]:
    """Invented words, the most frequent first."""
    choose = random.Random(0)
    words: dict[str, None] = {}
    while len(words) < WORDS:
        count = choose.choices((1, 2, 3, 4), (2, 5, 4, 1))[0]
        parts = (choose.choice(part) for _ in range(count) for part in (ONSETS, VOWELS, CODAS))
        words["".join(parts)] = None
    # Frequent words are short, as they are in languages.
    shuffled = sorted(words, key=lambda word: len(word) + choose.gauss(0, 2))
    return tuple(shuffled)


class Texts:
    """Texts of invented words.

    Args:
        seed: the same seed gives the same texts.
    """

    def __init__(self, seed: int) -> None:
        self._choose = random.Random(seed)
        self._words = vocabulary()
        self._weights = list(itertools.accumulate(1 / (i + 2.7) for i in range(WORDS)))

    def text(self, words: int) -> str:
        """A text of so many words."""
        found = self._choose.choices(self._words, cum_weights=self._weights, k=words)
        return " ".join(found)

    def length(self, quantiles: Sequence[int]) -> int:
        """A number of words from a distribution that is given by equally distant quantiles."""
        at = self._choose.random() * (len(quantiles) - 1)
        low = int(at)
        return round(quantiles[low] + (at - low) * (quantiles[low + 1] - quantiles[low]))

    def label(self, text: str) -> str:
        """One of two, about equally many, and to be told from the words."""
        vowels = sum(letter in "aeiou" for letter in text)
        return LABELS[vowels > 0.3215 * len(text)]


def sst2_like(path: Path, rows: int, seed: int = 0) -> Path:
    """A csv file of text and label, with sentences as long as SST-2's."""
    texts = Texts(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for _ in range(rows):
            text = texts.text(texts.length(SST2_WORDS))
            writer.writerow([text, texts.label(text)])
    return path


def book(path: Path, words: int, seed: int = 0) -> Path:
    """A text file with one long text."""
    path.write_text(Texts(seed).text(words) + "\n", encoding="utf-8")
    return path


def _words_with_spaces() -> Iterator[str]:
    """A text in which every word occurs, about as often as Zipf's law has it."""
    for rank, word in enumerate(vocabulary()):
        for _ in range(max(2, 20_000 // (rank + 3))):
            yield f" {word}"


def _make(folder: Path) -> None:
    import torch
    from transformers import PreTrainedTokenizerFast

    tokenizer = _tokenizer(VOCABULARY[folder.name])
    torch.manual_seed(0)
    model = MODELS[folder.name](VOCABULARY[folder.name] - 1)
    written = folder.with_name(f".{folder.name}")
    model.save_pretrained(written)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, unk_token=END,
        model_max_length=model.config.max_position_embeddings,
    ).save_pretrained(written)  # fmt: skip
    os.replace(written, folder)


def _tokenizer(entries: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    # The end of text comes last, as GPT-2 has it.
    trainer = trainers.BpeTrainer(vocab_size=entries - 1, initial_alphabet=letters)
    tokenizer.train_from_iterator(_words_with_spaces(), trainer)
    tokenizer.add_special_tokens([END])
    if tokenizer.get_vocab_size() != entries:
        raise RuntimeError(f"{tokenizer.get_vocab_size()} tokens instead of {entries}")
    return tokenizer


def _gpt2(_end: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config())  # whose end is the last of its 50,257 tokens


def _classifier(end: int) -> Any:
    from transformers import GPT2Config, GPT2ForSequenceClassification

    config = GPT2Config(pad_token_id=end)
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {name: i for i, name in enumerate(LABELS)}
    return GPT2ForSequenceClassification(config)


def _llama(end: int) -> Any:
    """As SmolLM2-135M's config.json has it, but for the number of the end."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY[LLAMA], hidden_size=576, intermediate_size=1536,
        num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        max_position_embeddings=8192, rms_norm_eps=1e-5, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        initializer_range=1 / 24, bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    return LlamaForCausalLM(config)


MODELS: dict[str, Callable[[int], Any]] = {
    LANGUAGE_MODEL: _gpt2, CLASSIFIER: _classifier, LLAMA: _llama,
}  # fmt: skip


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
