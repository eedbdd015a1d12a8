"""Prompts of a file -> the scores of a model's answers: texts it writes, or choices it prefers.

Texts are written by a bulk run of `hfcli generate`, which resumes by itself; choices are compared
by their log-likelihoods, which are journalled row by row.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hfcli import files
from hfcli.data.cache import tokenizer_hash
from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import DataError
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.loglikelihood import Pick, can_share, encode_pick, nll_of
from hfcli.evaluation.predictions import Prediction
from hfcli.evaluation.questions import PromptScorer
from hfcli.evaluation.run import EvalOptions, Keep, journal, run_evaluation
from hfcli.models.fingerprint import begin_fingerprint, weights_fingerprint
from hfcli.models.load import LoadedModel, load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.questions import QuestionRecipe
from hfcli.results import EvalResult, Listener
from hfcli.runfolder.names import PROMPTS_FILE, TEXTS_FILE
from hfcli.tasks.generate_until import GenerateUntil
from hfcli.tasks.prepared import context_length
from hfcli.tasks.question import Item
from hfcli.tasks.scoring import batches
from hfcli.tasks.text_generation import TextGeneration

ROWS = 16  # of a batch, by default
TOKENS = 4096  # of a batch, padding included: each may have a row of logits over the vocabulary


def evaluate_prompts(
    *, recipe: QuestionRecipe, listener: Listener, options: EvalOptions
) -> EvalResult:
    """Put the prompts of a file to the recipe's model and score its answers.

    Args:
        recipe: validated.
        listener: gets notes and progress.
        options: how it is started.

    Raises:
        DataError: the files cannot be read, or no row has an answer.
        ModelError, RunError: see `hfcli.errors`.
    """
    kind = GenerationScorer if recipe.task.generates else ChoiceScorer
    return run_evaluation(kind(recipe, options), options=options, listener=listener)


class ChoiceScorer(PromptScorer):
    """Which of a row's choices the model finds likeliest."""

    def key(self) -> Mapping[str, Any]:
        recipe = self.recipe
        self.loaded = _load(recipe, self.options)
        self._key = {
            "weights_sha256": weights_fingerprint(self.loaded.source, *self.loaded.parts),
            "data_sha256": self.questions.data_sha256,
            "settings": {
                "task": self.questions.settings(),
                "tokenizer_sha256": tokenizer_hash(self.loaded.tokenizer),
                "dtype": str(self.loaded.model.dtype).removeprefix("torch."),
                "device": self.loaded.model.device.type,
                "batch_size": recipe.evaluation.batch_size or ROWS,
                "seed": recipe.seed,
            },
        }
        return self._key

    @contextlib.contextmanager
    def scored(
        self, folder: EvaluationFolder, listener: Listener
    ) -> Iterator[Iterator[Prediction]]:
        items = self.questions.items
        longest = context_length(self.loaded.tokenizer, self.loaded.model)
        picks = [self._pick(item, longest) for item in items]
        asked = {i: pick for i, pick in enumerate(picks) if isinstance(pick, Pick)}
        with journal(folder, len(asked), self.notes, listener) as (done, keep):
            if asked:
                self._score(asked, done, keep)
            rows = (
                _answer(item, done.get(i), pick)
                for i, (item, pick) in enumerate(zip(items, picks, strict=True))
            )
            yield self.predictions(rows)

    def _pick(self, item: Item, longest: int) -> Pick | str:
        """The tokens of a row, or why it cannot be asked."""
        task = self.questions.task
        prompt = task.with_examples(self.questions.examples(item), item.prompt)
        continuations = [task.joined(item.prompt, choice) for choice in item.choices]
        try:
            pick = encode_pick(self.loaded.tokenizer, prompt, continuations)
        except DataError as e:
            return e.message
        if pick.longest > longest:
            return f"prompt and choice have {pick.longest:,} tokens, the model takes {longest:,}"
        return pick

    def _score(
        self, asked: Mapping[int, Pick], done: Mapping[int, tuple[float, ...]], keep: Keep
    ) -> None:
        """Journal the log-likelihoods of every choice of every row that can be asked."""
        model = self.loaded.model
        longest, columns = (
            max(getattr(pick, name) for pick in asked.values()) for name in ("longest", "read")
        )
        share = can_share(model, longest, columns)
        numbers = list(asked)
        costs = [pick.read if share else pick.read_apart for pick in asked.values()]
        for places in batches(costs, self.recipe.evaluation.batch_size or ROWS, TOKENS):
            batch = [numbers[place] for place in places]
            # Batches are those of an uninterrupted run: their rounding is, too.
            if not all(i in done for i in batch):
                found = nll_of(model, [asked[i] for i in batch], share=share)
                keep(batch, [tuple(row) for row in found])

    def model_facts(self) -> dict[str, Any]:
        return {
            "model": self.loaded.source.name,
            "revision": self.loaded.source.revision,
            "device": str(self.loaded.model.device),
            "weights_sha256": self._key["weights_sha256"],
            "settings": self._key["settings"],
        }


def _answer(item: Item, costs: Sequence[float] | None, pick: Pick | str) -> dict[str, Any]:
    """What predictions say; the likeliest choice is that of `acc`, ties go to the first."""
    choices = list(item.choices)
    if costs is None:
        return {"choices": choices, "error": pick}
    return {
        "choices": choices,
        "prediction": min(range(len(costs)), key=costs.__getitem__),
        "nll": list(costs),
        "n_bytes": [len(choice.encode()) for choice in choices],
        "error": None,
    }


def _load(recipe: QuestionRecipe, options: EvalOptions) -> LoadedModel:
    placement = resolve_device(recipe.device)
    model = recipe.model
    return load_model(
        source=resolve_model(model.name_or_path, revision=model.revision, offline=options.offline),
        task=TextGeneration(),
        dtype=resolve_dtype(model.dtype, placement.device),
        placement=placement,
    )


class GenerationScorer(PromptScorer):
    """Texts that the model writes after each prompt; the bulk run's files lie beside them."""

    reuses = False  # the bulk run knows what it has finished

    def key(self) -> Mapping[str, Any]:
        recipe = self.recipe
        source = resolve_model(
            recipe.model.name_or_path,
            revision=recipe.model.revision,
            offline=self.options.offline,
        )
        decoding = recipe.decoding().model_dump(mode="json")
        if decoding["do_sample"] is None:  # as another setting of sampling decides it
            decoding["do_sample"] = True
        task = recipe.task.model_dump(mode="json", exclude_none=True, exclude={"few_shot"})
        return {
            "data_sha256": self.questions.data_sha256,
            "weights_sha256": begin_fingerprint(source)(),
            "settings": {
                "task": task,
                "decoding": decoding,
                "dtype": recipe.model.dtype,
                "seed": recipe.seed,
            },
        }

    @contextlib.contextmanager
    def scored(
        self, folder: EvaluationFolder, listener: Listener
    ) -> Iterator[Iterator[Prediction]]:
        prompts, texts = folder.path / PROMPTS_FILE, folder.path / TEXTS_FILE
        self._write_prompts(prompts)
        self._generate(prompts, texts, listener)
        where = (f"{prompts}:{line}: " for line in range(1, len(self.questions.items) + 1))
        rows = [_text(*pair) for pair in zip(_records(texts), where, strict=True)]
        cut = sum(row.get("finish_reason") == "length" for row in rows)
        if cut:
            self.notes.append(
                f"{cut:,} of {len(rows):,} texts were cut off at their greatest length"
                " (max_new_tokens)"
            )
        yield self.predictions(iter(rows))

    def _write_prompts(self, path: Path) -> None:
        """Equal prompts give equal bytes, by which a bulk run knows that it can resume."""
        with files.atomic(path) as partial, partial.open("w", encoding="utf-8") as file:
            for number, prompt in enumerate(self.questions.prompts()):
                file.write(json.dumps({"id": number, "prompt": prompt}, ensure_ascii=False) + "\n")

    def _generate(self, prompts: Path, texts: Path, listener: Listener) -> None:
        """Run `hfcli generate --input --output`."""
        from hfcli.generation.bulk import generate_file
        from hfcli.generation.bulk_files import BulkFiles
        from hfcli.generation.loading import ModelChoice
        from hfcli.generation.manifest import read_manifest
        from hfcli.generation.prompts import PromptOptions
        from hfcli.generation.run import TextOptions

        recipe, task = self.recipe, cast(GenerateUntil, self.recipe.task)
        self._result = generate_file(
            files=BulkFiles(str(prompts), str(texts), overwrite=self.options.overwrite),
            choice=ModelChoice(
                name=recipe.model.name_or_path,
                revision=recipe.model.revision,
                device=recipe.device,
                dtype=recipe.model.dtype,
                offline=self.options.offline,
            ),
            settings=recipe.decoding(),
            options=TextOptions(
                stops=task.stop, prompt=PromptOptions(task.system, task.chat_template)
            ),
            seed=recipe.seed,
            listener=listener,
            batch_size=recipe.evaluation.batch_size,
        )
        self._manifest = read_manifest(texts)

    def model_facts(self) -> dict[str, Any]:
        names = ("engine", "dtype", "settings", "options", "seed")
        return {
            "model": self._result.model,
            "revision": self._result.revision,
            "device": str(resolve_device(self.recipe.device).device),
            "weights_sha256": self._manifest["weights_sha256"],
            "settings": {name: self._manifest[name] for name in names},
        }


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _text(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What predictions say; an error names the row of the data, not that of the prompts."""
    if record["error"] is not None:
        return {"error": record["error"].removeprefix(where)}
    return {
        "prediction": record["text"],
        "finish_reason": record["finish_reason"],
        "error": None,
    }
