"""Other libraries' private names and attributes are touched in `compat` and `fast` only."""

from __future__ import annotations

import pytest

from tests.foreign_names import places, read
from tests.helpers import ROOT

ROOMS = ("hfcli/compat/", "hfcli/fast/")
OWN = """
class Row:
    counts: dict[str, int]

    def __init__(self) -> None:
        self._known = 0

    def same(self, other: object) -> bool:
        return self._known == other._known
"""


def test_no_other_room_reaches_into_another_library() -> None:
    found = [str(p) for p in places(read(ROOT / "hfcli")) if not p.path.startswith(ROOMS)]
    assert found == []


def kinds(code: str) -> list[str]:
    """The kinds of places in a file of hfcli, beside one that has classes of its own."""
    sources = {"hfcli/rows.py": OWN, "hfcli/x.py": code}
    return [place.kind for place in places(sources)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import torch\ntorch._C", "a private name"),
        ("import torch\ntorch.ops.mkldnn._linear_pointwise(1)", "a private name"),
        ("def f(model):\n    return model._is_stateful", "a private name"),
        ("def f(model):\n    return getattr(model, '_is_stateful', None)", "a private name"),
        ("def f(model):\n    return hasattr(model, '_forward_hooks')", "a private name"),
        (
            "from operator import attrgetter\nattrgetter('config._attn_implementation')",
            "a private name",
        ),
        (
            "from torch import nn\nclass A(nn.Module):\n    def f(self):\n        self._buffers",
            "a private name",
        ),
        (
            "from transformers import Trainer\nclass A(Trainer):\n"
            "    def log(self):\n        super()._wrap_model(1)",
            "a private name",
        ),
        (
            "from transformers import Trainer\nclass A(Trainer):\n"
            "    def _save_checkpoint(self):\n        pass",
            "a private name in a subclass of another library's class",
        ),
        (
            "from transformers import Trainer\nclass A(Trainer):\n    pass\n"
            "class B(A):\n    _tr_loss = 0",
            "a private name in a subclass of another library's class",
        ),
        ("import torch._dynamo", "an import of a private module"),
        (
            "from importlib import import_module\nimport_module('torch._opaque_base')",
            "an import of a private module",
        ),
        ("from torch._dynamo import config", "an import of a private name"),
        ("from torch import _foreach_mul_", "an import of a private name"),
        ("import sys\nsys.modules.get('torch')", "the state of imports"),
        ("from sys import meta_path", "the state of imports"),
        ("module.__class__ = object", "an object that is given another class"),
        (
            "import torch\ntorch.distributed.is_available = lambda: False",
            "an attribute of another library's object that is assigned",
        ),
        (
            "from huggingface_hub import constants\nconstants.HF_HUB_OFFLINE = True",
            "an attribute of another library's object that is assigned",
        ),
        (
            "def f(model):\n    model.save_pretrained = print",
            "an attribute of another library's object that is assigned",
        ),
        (
            "def f(model):\n    del model.forward",
            "an attribute of another library's object that is assigned",
        ),
        (
            "def f(model):\n    a, model.b = 1, 2",
            "an attribute of another library's object that is assigned",
        ),
        (
            "def f(model):\n    model.steps += 1",
            "an attribute of another library's object that is assigned",
        ),
        (
            "def f(model):\n    setattr(model, 'forward', print)",
            "an attribute of another library's object that is assigned",
        ),
        (
            "def f(model):\n    del model.__dict__['forward']",
            "another library's object that is written into",
        ),
        (
            "import transformers\ntransformers.CONFIG_MAPPING.update(x=1)",
            "another library's object that is written into",
        ),
        (
            "from transformers import MAPPING\nMAPPING['x'] = 1",
            "another library's object that is written into",
        ),
    ],
)  # fmt: skip
def test_each_kind_of_place_is_found(code: str, kind: str) -> None:
    assert kinds(code) == [kind]


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos._exit(1)",
        "import os\nos.environ['A'] = '1'",
        "def f(pair):\n    return pair._asdict(), pair.__class__",
        "class A:\n    def f(self):\n        self._x = self._y",
        "class A:\n    def _g(self): pass\n\n\ndef f(a: A):\n    a._g()",
        "from hfcli.rows import Row\n\n\ndef f(row: Row):\n    row.counts = {}\n    row._known",
        "from hfcli.rows import Row\n\n\ndef f():\n    row = Row()\n    row.counts = {}",
        "from hfcli.rows import Row\n\n\nclass A:\n    def __init__(self, row: Row):\n"
        "        self.row = row\n\n    def f(self):\n        self.row.counts = {}",
        "from hfcli.rows import _private",
        "from pydantic import BaseModel\nclass A(BaseModel):\n    def _check(self): pass",
        "from torch import nn\nclass A(nn.Module):\n    def f(self):\n        self.x = 1",
        "def f(model):\n    model.config.use_cache = True",
    ],
)  # fmt: skip
def test_what_is_hfclis_own_or_documented_is_none(code: str) -> None:
    assert kinds(code) == []


def test_a_place_is_told_by_file_line_and_code() -> None:
    (place,) = places({"hfcli/x.py": "import torch\n\ntorch._C.f()\n"})
    assert str(place) == "hfcli/x.py:3: a private name: torch._C"
