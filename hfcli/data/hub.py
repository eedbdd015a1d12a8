"""One split of a Hub data set, from the cache or over the network. Knows nothing about tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from hfcli import hub
from hfcli.errors import DataError
from hfcli.foreign import first_line
from hfcli.transfers import guard, network_errors

if TYPE_CHECKING:
    from datasets import Dataset, Features, IterableDataset

BUFFER_ROWS = 10_000  # a sample is drawn from so many rows at a time


@dataclass(frozen=True)
class HubStream:
    """A split that is read row by row."""

    rows: IterableDataset

    def features_of(self, columns: Sequence[str]) -> Features | None:
        """The types of some columns, where the Hub tells them; None too when one is absent."""
        from datasets import Features

        known = self.rows.features
        if known is None or not set(columns) <= set(known):
            return None
        return Features({name: known[name] for name in columns})

    def read(self, limit: int | None = None, seed: int = 0) -> Iterator[dict[str, Any]]:
        """The rows in order; or about a random `limit` of them, of which no more are fetched.

        Args:
            limit: so many rows at most, drawn by the seed from a buffer of `BUFFER_ROWS`.
            seed: decides which.

        Raises:
            DataError: the Hub went out of reach, or the files are broken.
        """
        import datasets
        import pyarrow
        from huggingface_hub.errors import HfHubHTTPError

        rows = self.rows
        if limit is not None:
            rows = rows.shuffle(seed=seed, buffer_size=BUFFER_ROWS).take(limit)
        iterator = iter(rows)
        name = str(self.rows.info.dataset_name)
        failed = f"{name}: cannot be read from the Hub"
        known = (
            OSError, HfHubHTTPError, pyarrow.ArrowException, datasets.exceptions.DatasetsError
        )  # fmt: skip
        while True:
            try:
                with network_errors(DataError, failed, passes=known):
                    row = next(iterator, None)
            except known as e:
                raise DataError(
                    f"{name}: {first_line(e)}",
                    hint="without data.streaming, what was fetched is kept",
                ) from e
            if row is None:
                return
            yield row


def load_hub_split(
    *, path: str, name: str | None, revision: str | None, split: str, offline: bool
) -> Dataset:
    """`datasets.load_dataset(path, name, split=split)` with errors that say what to do.

    Raises:
        DataError: unknown data set, configuration or split, or out of reach.
    """
    loaded = _load(path, name, offline=offline, split=split, revision=revision)
    return cast("Dataset", loaded)


def open_hub_split(
    *, path: str, name: str | None, revision: str | None, split: str, offline: bool
) -> HubStream:
    """The same with `streaming=True`: nothing is fetched before it is read.

    Raises:
        DataError: as for `load_hub_split`.
    """
    loaded = _load(path, name, offline=offline, split=split, revision=revision, streaming=True)
    return HubStream(cast("IterableDataset", loaded))


def _load(path: str, name: str | None, *, offline: bool, **options: Any) -> Any:
    if offline or not hub.reachable():
        hub.go_offline()  # before the import: datasets reads the switch once
    import datasets
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    known = (
        ConnectionError, OfflineModeIsEnabled, ValueError, RuntimeError, HfHubHTTPError,
        datasets.exceptions.DatasetsError,
    )  # fmt: skip
    if not hub.is_offline():
        guard()
    try:
        with network_errors(DataError, f"{path}: cannot be read from the Hub", passes=known):
            return datasets.load_dataset(path, name, **options)
    except (ConnectionError, OfflineModeIsEnabled) as e:
        raise DataError(
            f"{path}: not in the local cache, and the Hub cannot be reached",
            hint="give local files in data.train, or try again with a network",
        ) from e
    except datasets.exceptions.DatasetNotFoundError as e:
        raise DataError(
            f"{path}: no such data set on the Hub", hint="private ones need `hf auth login`"
        ) from e
    except (ValueError, RuntimeError, HfHubHTTPError, datasets.exceptions.DatasetsError) as e:
        # datasets reports an unknown configuration or split as a bare ValueError.
        sliced = options.get("streaming") and "[" in options["split"]
        hint = "streaming reads whole splits; data.max_samples takes a part" if sliced else None
        raise DataError(f"{path}: {first_line(e)}", hint=hint) from e
