"""Metrics as `evaluate` modules: the shipped ones by name, a local script by its path, a Hub id.

Shipped ones need no network. A script, and more so what a Hub id names, is code that runs here:
the former is the user's own, the latter has to be allowed. The classes are made in a factory,
because they must subclass `evaluate.Metric`, whose import takes seconds. Knows nothing about
models or data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcli import hub
from hfcli.errors import DataError
from hfcli.foreign import first_line
from hfcli.metrics import shipped_metrics
from hfcli.metrics.base import Metric, require
from hfcli.transfers import guard, network_errors


@dataclass(frozen=True)
class ShippedMetric:
    """A shipped metric that computes what its `evaluate` module does, without that library."""

    metric: Metric

    def compute(self, **inputs: Any) -> dict[str, Any]:
        """The value by the metric's name; a list for each input, and the metric's options."""
        kinds = self.metric.inputs
        for name, kind in kinds.items():
            inputs[name] = [_KINDS[kind](value) for value in inputs[name]]
        return {self.metric.name: self.metric.compute(**inputs)}


def load_metric(name: str, *, offline: bool = False, allow_remote: bool = False) -> Any:
    """What computes a metric: a `ShippedMetric` of a shipped one, else as `load_module`.

    Importing `evaluate` takes two seconds, which is longer than many evaluations.

    Raises:
        DataError, RunError: as `load_module`.
    """
    metric = shipped_metrics().get(name)
    if metric is None:
        return load_module(name, offline=offline, allow_remote=allow_remote)
    if metric.package is not None:
        require(metric.package)
    return ShippedMetric(metric)


def load_module(name: str, *, offline: bool = False, allow_remote: bool = False) -> Any:
    """An `evaluate.EvaluationModule`.

    Args:
        name: a shipped metric, the path of a script (it ends with .py), or a Hub id.
        offline: open no socket.
        allow_remote: run the code that a Hub id names.

    Raises:
        DataError: a script or Hub metric that is not there or cannot be loaded, a Hub metric that
            is not allowed.
        RunError: a shipped metric whose library is not installed.
    """
    metric = shipped_metrics().get(name)
    if metric is not None:
        return make_module(metric)
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise DataError(f"metric {name}: there is no such file")
        if offline:
            hub.go_offline()
        return _load(name)
    if not allow_remote:
        raise DataError(
            f"metric {name} does not ship with hfcli; the Hub's would run code from there",
            hint="--allow-remote-metric allows that; docs/evaluation.md lists what ships",
        )
    if offline or not hub.reachable():
        hub.go_offline()
    return _load(name)


def make_module(metric: Metric) -> Any:
    """Dress a shipped metric as an `evaluate.Metric` that computes in memory.

    Raises:
        RunError: a library that it needs is not installed.
    """
    if metric.package is not None:
        require(metric.package)
    import datasets
    import evaluate

    number, text = datasets.Value("float64"), datasets.Value("string")
    features = {
        int: datasets.Value("int64"),
        float: number,
        str: text,
        list: datasets.List(number),
        list[str]: datasets.List(text),
    }

    class Module(evaluate.Metric):  # type: ignore[misc]
        def _info(self) -> Any:
            return evaluate.MetricInfo(
                description=metric.description,
                citation="",
                features=datasets.Features({k: features[v] for k, v in metric.inputs.items()}),
            )

        def add_batch(self, **columns: Any) -> None:
            """Add rows, a list for each input; a text where a list of texts is due is one."""
            for name, kind in metric.inputs.items():
                if kind == list[str] and name in columns:
                    columns[name] = [_texts(row) for row in columns[name]]
            super().add_batch(**columns)

        def _compute(self, **inputs: Any) -> dict[str, Any]:
            return {metric.name: metric.compute(**inputs)}

    Module.__name__ = metric.name
    return Module(keep_in_memory=True)


def _numbers(values: Sequence[float]) -> list[float]:
    return [float(value) for value in values]


def _texts(value: str | Sequence[str]) -> list[str]:
    """A text where a list of texts is due is one."""
    return [value] if isinstance(value, str) else list(value)


_KINDS: dict[type, Callable[[Any], Any]] = {
    int: int,
    float: float,
    str: str,
    list: _numbers,
    list[str]: _texts,
}


def _fetched(name: str) -> str:
    """The script of a Hub metric, out of the cache where the Hub cannot be reached.

    evaluate would fetch it by a client of its own that waits without end.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    missing = (LocalEntryNotFoundError, RepositoryNotFoundError)
    repo = name if "/" in name else f"evaluate-metric/{name}"
    if not hub.is_offline():
        guard()
    failed = f"metric {name}: cannot be fetched from the Hub"
    try:
        with network_errors(DataError, failed, passes=missing):
            folder = snapshot_download(
                repo, repo_type="space", allow_patterns="*.py", local_files_only=hub.is_offline()
            )
    except missing as e:
        raise DataError(
            f"metric {name}: not in the local cache, and the Hub has no such metric or cannot be"
            " reached",
            hint="docs/evaluation.md lists the metrics that need no network",
        ) from e
    script = Path(folder) / f"{repo.rpartition('/')[2]}.py"
    if not script.is_file():
        raise DataError(f"metric {name}: its repository has no {script.name}")
    return str(script)


def _load(name: str) -> Any:
    import evaluate

    evaluate.disable_progress_bar()
    path = name if name.endswith(".py") else _fetched(name)
    try:
        # In memory: a file would be locked against a second instance.
        return evaluate.load(path, keep_in_memory=True)
    except (FileNotFoundError, ConnectionError) as e:  # something that the script imports
        raise DataError(f"metric {name}: {first_line(e)}") from e
    except (ImportError, SyntaxError) as e:
        raise DataError(f"metric {name}: {str(e).splitlines()[0]}") from e
    except (TypeError, NotImplementedError) as e:
        # How evaluate.load meets a file without a class of its own, or with one left unfinished.
        raise DataError(
            f"metric {name}: its file holds no metric that can be made ({e or type(e).__name__})",
            hint="it needs `import evaluate` and one class that subclasses evaluate.Metric and has"
            " _info and _compute",
        ) from e
