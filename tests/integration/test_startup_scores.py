"""A score starts without what it needs at its end only, or not at all, and is the same score."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hfcli.errors import RunError
from hfcli.evaluation import forward
from hfcli.evaluation.forward import evaluate
from hfcli.evaluation.run import EvalOptions
from hfcli.evaluation.target import Target, resolve_target
from hfcli.fast import startup
from hfcli.tasks.base import RowCounts
from tests.helpers import ROOT, is_pinned

HOW = ("deferred", "plain")
# Argument "plain" imports transformers whole.
CODE = """
import json, sys
from pathlib import Path
from types import ModuleType
from hfcli.evaluation.forward import evaluate
from hfcli.evaluation.run import EvalOptions
from hfcli.evaluation.target import Target, resolve_target
from hfcli.fast import startup
from hfcli.results import RowsScored

def here(*names):
    return [name for name in names if type(sys.modules.get(name)) is ModuleType]

model, data, output, how = sys.argv[1:]
if how == "deferred": startup.allow()
early = None
def listen(event):
    global early
    if isinstance(event, RowsScored) and early is None:
        early = here("evaluate", "sklearn", "scipy", "torch._dynamo")
target = Target(model=model, data=(data,))
chosen = ["device=cpu", "task.windows=full"]
recipe = resolve_target(target=target, overrides=chosen, listener=listen, offline=True)
options = EvalOptions(output_dir=Path(output), offline=True)
result = evaluate(recipe=recipe, listener=listen, options=options)
import scipy.special
late = here("evaluate", "scipy", "scipy.special")
print(json.dumps([early, late, result.metrics, result.intervals]))
"""


def score(model: Path, data: Path, output: Path, how: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(model), str(data), str(output), how],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_that_waits_is_imported_before_the_first_row(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    import torch

    data = tmp_path / "texts.jsonl"
    lines = [json.dumps({"text": f"The boat {i} lay in the harbour."}) for i in range(20)]
    data.write_text("\n".join(lines), encoding="utf-8")
    early, late, *deferred = score(tiny_gpt2, data, tmp_path / "deferred", "deferred")
    if torch.accelerator.is_available() or not torch.distributed.is_available():
        pytest.skip("this machine has other devices, or torch without distributed")
    if early and not is_pinned():
        pytest.skip(f"with these versions the start imports {', '.join(early)}")
    assert early == []
    assert late == ["scipy", "scipy.special"], "no placeholders are left"
    early, _late, *whole = score(tiny_gpt2, data, tmp_path / "plain", "plain")
    assert "torch._dynamo" in early, "what is looked for can be found"
    assert deferred == whole
    one, other = ((tmp_path / how / "predictions.jsonl").read_bytes() for how in HOW)
    assert one == other


@pytest.mark.parametrize("place", ["load_scored", "key_of", "scored"])
@pytest.mark.parametrize("error", [RunError("full"), KeyboardInterrupt(), ValueError("a bug")])
def test_imports_are_as_usual_after_an_evaluation_however_it_ends(
    place: str, error: BaseException, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub = "torch._dynamo.a_module_that_nobody_has"

    def load(*_args: object, **_options: object) -> object:
        sys.meta_path.insert(0, startup._Finder())
        sys.modules[stub] = startup._Placeholder(stub)
        if place == "load_scored":
            raise error
        return SimpleNamespace(loaded=SimpleNamespace(source=SimpleNamespace(name="m")))

    def fail(*_args: object, **_options: object) -> object:
        raise error

    told = {"weights_sha256": "0", "data_sha256": "0", "settings": {}}
    monkeypatch.setattr(forward, "key_of", lambda *_args: told)
    where = forward.ForwardScorer if place == "scored" else forward
    monkeypatch.setattr(where, place, fail)
    monkeypatch.setattr(forward, "load_scored", load)
    monkeypatch.setattr(forward, "_rows", lambda *_args: ("test", [], [], RowCounts()))
    data = tmp_path / "d.csv"
    data.write_text("text\nA boat.\n")
    recipe = resolve_target(
        target=Target(model="bundled", data=(str(data),)), overrides=[],
        listener=lambda _event: None, offline=True,
    )  # fmt: skip
    options = EvalOptions(output_dir=tmp_path / "out", offline=True)
    try:
        with pytest.raises(type(error)):
            evaluate(recipe=recipe, listener=lambda _event: None, options=options)
        assert stub not in sys.modules
        assert not any(isinstance(finder, startup._Finder) for finder in sys.meta_path)
    finally:
        startup.restore_imports()
