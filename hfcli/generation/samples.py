"""What a model in training writes: a few prompts continued, greedily, and nothing changed by it."""

from __future__ import annotations

from collections.abc import Sequence

from hfcli.generation.engines.base import EngineOptions
from hfcli.generation.engines.transformers import TransformersEngine
from hfcli.generation.loading import ModelChoice
from hfcli.generation.prompts import PromptOptions, prompt_ids
from hfcli.generation.run import RequestMaker, TextOptions
from hfcli.models.load import LoadedModel
from hfcli.recipe.sections import GenerationSettings

LONGEST = 48  # tokens: enough to hear a style


def write_samples(loaded: LoadedModel, prompts: Sequence[str]) -> list[str]:
    """The texts after the prompts; draws no random number, and leaves the model as it was."""
    options = EngineOptions(choice=ModelChoice(), listener=lambda _event: None)
    settings = GenerationSettings(do_sample=False, max_new_tokens=LONGEST)
    maker = RequestMaker(loaded, settings, TextOptions())
    ids = [prompt_ids(loaded, prompt, PromptOptions(chat_template=False)) for prompt in prompts]
    requests = [maker.make(i, own, 0) for i, own in enumerate(ids)]
    training = loaded.model.training
    loaded.model.eval()
    try:
        finished = list(TransformersEngine(loaded, options).run(requests))
    finally:
        loaded.model.train(training)
    return [f.text for f in sorted(finished, key=lambda f: f.request.number)]
