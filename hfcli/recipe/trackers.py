"""Trackers of `training.extra.report_to`: are they installed, and what keeps them quiet and local.

A tracker must never ask a question that nobody answers, nor send anything unless the user has said
so: by an API key, a server's address, or the tracker's own variables. Imports no tracker.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hfcli.errors import RecipeError, did_you_mean

# What Trainer calls them -> modules, one of which must be there. The first is also what pip
# installs. Trainer knows more of them (comet_ml, swanlab, ...), which log in when they start.
TRACKERS = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "trackio": ("trackio",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}


def tracker_names(value: Any) -> list[str]:
    """Return `report_to` (None, none, a name, or several) as a list.

    Raises:
        RecipeError: neither.
    """
    if value in (None, False, "none", ["none"]):
        return []
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise RecipeError(f"report_to must be a tracker's name or a list of them (found {value!r})")
    return list(names)


def check_report_to(names: Sequence[str]) -> None:
    """Raise before anything heavy is imported when a tracker is unknown or not installed.

    Raises:
        RecipeError: one line for each such name; the hint names the pip install.
    """
    problems, missing = [], []
    for name in names:
        if name not in TRACKERS:
            near = did_you_mean(name, TRACKERS)
            tail = f"did you mean {near}?" if near else f"known: {', '.join(TRACKERS)}, none"
            problems.append(f"report_to: unknown tracker {name!r}, {tail}")
        elif not any(find_spec(module) for module in TRACKERS[name]):
            problems.append(f"report_to: {name} is not installed")
            missing.append(TRACKERS[name][0])
    if problems:
        hint = f"pip install {' '.join(missing)}" if missing else None
        raise RecipeError(problems, hint=hint)


def tracker_environment(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return variables to set before a run, where the user has not set them.

    They tell each tracker to write into `folder`, and to ask for no login.

    Args:
        folder: output folder of the run.
        names: checked ones.
    """
    folder = folder.absolute()
    wanted: dict[str, dict[str, str]] = {
        "tensorboard": {"TENSORBOARD_LOGGING_DIR": str(folder / "tensorboard")},
        "trackio": {"TRACKIO_DIR": str(folder / "trackio")},
        "wandb": {
            # Without a key wandb asks for one on a terminal, and fails elsewhere.
            **({} if _has_wandb_key(os.environ) else {"WANDB_MODE": "offline"}),
            "WANDB_DIR": str(folder),
            "WANDB_PROJECT": "hfcli",
            "WANDB_SILENT": "true",
            "WANDB_CONSOLE": "off",
            "WANDB_ERROR_REPORTING": "false",
        },
        "mlflow": {
            # MLflow 3 refuses its file store.
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "MLFLOW_EXPERIMENT_NAME": "hfcli",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    }
    return {
        variable: value
        for name in names
        for variable, value in wanted[name].items()
        if variable not in os.environ
    }


def _has_wandb_key(environ: Mapping[str, str]) -> bool:
    """A key in the environment, or in the netrc file that `wandb login` writes."""
    if environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        found = netrc.netrc(environ.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return False
    return found is not None
