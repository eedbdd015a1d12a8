"""JSON files in a model's folder, which anyone may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hfcli.errors import ModelError
from hfcli.foreign import cut


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a model's file.

    Raises:
        ModelError: the file cannot be read, or holds no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as e:
        raise ModelError(f"{path}: not JSON ({cut(str(e))})") from e
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    if not isinstance(value, dict):
        raise ModelError(f"{path}: not a JSON object, but {cut(json.dumps(value), 40)}")
    return value
