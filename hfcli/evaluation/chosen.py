"""Questions with choices -> which choice a model finds likeliest; resumable, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hfcli.data.cache import tokenizer_hash
from hfcli.device import resolve_device, resolve_dtype
from hfcli.errors import DataError
from hfcli.evaluation.ask import Answers, told_of
from hfcli.evaluation.choices import Pick, can_share, encode_pick, nll_of
from hfcli.evaluation.folder import EvaluationFolder
from hfcli.evaluation.questions import Questions
from hfcli.evaluation.run import EvalOptions
from hfcli.evaluation.score_log import ScoreLog
from hfcli.models.fingerprint import weights_fingerprint
from hfcli.models.load import LoadedModel, load_model
from hfcli.models.resolve import resolve_model
from hfcli.recipe.questions import QuestionRecipe
from hfcli.results import Listener, RowsScored
from hfcli.tasks.prepared import context_length
from hfcli.tasks.question import Item
from hfcli.tasks.scoring import batches
from hfcli.tasks.text_generation import TextGeneration

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROWS = 16  # of a batch, by default
TOKENS = 4096  # of a batch, padding included: each may have a row of logits over the vocabulary


def chosen_answers(
    questions: Questions,
    folder: EvaluationFolder,
    *,
    recipe: QuestionRecipe,
    options: EvalOptions,
    listener: Listener,
) -> Answers:
    """The log-likelihoods of all choices, and the likeliest one of each row.

    Args:
        questions: what is asked.
        folder: where rows are kept that are done, until all are.
        recipe: names the model.
        options: how the evaluation is started.
        listener: gets progress.

    Raises:
        ModelError, RunError: see `hfcli.errors`.
    """
    loaded = _load(recipe, options)
    longest = context_length(loaded.tokenizer, loaded.model)
    picks = [_pick(questions, item, loaded, longest) for item in questions.items]
    told = _told(questions, loaded, recipe)
    folder.take(told)
    answers = Answers(
        rows=None,
        model=loaded.source.name,
        revision=loaded.source.revision,
        device=str(loaded.model.device),
        weights_sha256=told["weights_sha256"],
        settings={name: value for name, value in told["settings"].items() if name != "task"},
        notes=[f"predictions found in {folder.path}: same model, data and settings"],
    )
    if folder.reuses():
        return answers
    with ScoreLog(folder.path, told) as log:
        before = len(log.done)
        _score(picks, loaded.model, recipe.evaluation.batch_size or ROWS, log, listener)
        rows = [
            _row(item, log.done.get(i), pick)
            for i, (item, pick) in enumerate(zip(questions.items, picks, strict=True))
        ]
    notes = [f"going on: {before:,} of {len(picks):,} were scored before"] if before else []
    return replace(answers, rows=rows, notes=notes, when_written=log.remove)


def _score(
    picks: Sequence[Pick | str],
    model: PreTrainedModel,
    batch_size: int,
    log: ScoreLog,
    listener: Listener,
) -> None:
    """Fill the log with the costs of every choice of every row that can be asked."""
    asked = {i: pick for i, pick in enumerate(picks) if isinstance(pick, Pick)}
    if not asked:
        return
    longest, columns = (
        max(getattr(pick, name) for pick in asked.values()) for name in ("longest", "read")
    )
    share = can_share(model, longest, columns)
    numbers = list(asked)
    costs = [pick.read if share else pick.read_apart for pick in asked.values()]
    for places in batches(costs, batch_size, TOKENS):
        batch = [numbers[place] for place in places]
        # Batches are those of an uninterrupted run: their rounding is, too.
        if all(i in log.done for i in batch):
            continue
        found = [tuple(row) for row in nll_of(model, [asked[i] for i in batch], share=share)]
        log.add(batch, found)
        log.done.update(zip(batch, found, strict=True))
        listener(RowsScored(len(log.done), len(asked)))


def _pick(questions: Questions, item: Item, loaded: LoadedModel, longest: int) -> Pick | str:
    """The tokens of a row, or why it cannot be asked."""
    task = questions.task
    prompt = task.with_examples(questions.examples(item), item.prompt)
    continuations = [task.joined(item.prompt, choice) for choice in item.choices]
    try:
        pick = encode_pick(loaded.tokenizer, prompt, continuations)
    except DataError as e:
        return e.message
    if pick.longest > longest:
        return f"prompt and choice have {pick.longest:,} tokens, the model takes {longest:,}"
    return pick


def _row(item: Item, costs: Sequence[float] | None, pick: Pick | str) -> dict[str, Any]:
    """What predictions say; the likeliest choice is that of `acc`, ties go to the first."""
    told = {"choices": list(item.choices)}
    if costs is None:
        return {**told, "error": pick}
    return {
        **told,
        "prediction": min(range(len(costs)), key=costs.__getitem__),
        "nll": list(costs),
        "n_bytes": [len(choice.encode()) for choice in item.choices],
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


def _told(questions: Questions, loaded: LoadedModel, recipe: QuestionRecipe) -> dict[str, Any]:
    """Everything that can change a prediction, by content."""
    return {
        "weights_sha256": weights_fingerprint(loaded.source, *loaded.parts),
        "data_sha256": questions.data_sha256,
        "settings": {
            "task": told_of(questions),
            "tokenizer_sha256": tokenizer_hash(loaded.tokenizer),
            "dtype": str(loaded.model.dtype).removeprefix("torch."),
            "device": loaded.model.device.type,
            "batch_size": recipe.evaluation.batch_size or ROWS,
            "seed": recipe.seed,
        },
    }
