"""One split of a Hub data set, from the cache or over the network. Knows nothing about tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hfcli import hub
from hfcli.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def load_hub_split(
    *, path: str, name: str | None, revision: str | None, split: str, offline: bool
) -> Dataset:
    """`datasets.load_dataset(path, name, split=split)` with errors that say what to do.

    Raises:
        DataError: unknown data set, configuration or split, or out of reach.
    """
    if offline or not hub.reachable():
        hub.go_offline()  # before the import: datasets reads the switch once
    import datasets
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        loaded = datasets.load_dataset(path, name, split=split, revision=revision)
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
        raise DataError(f"{path}: {str(e).splitlines()[0]}") from e
    return cast("Dataset", loaded)
