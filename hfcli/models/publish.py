"""A finished run's folder -> a repository on the Hub.

What goes is chosen by what it is: weights, configurations, tokenizer, card, report and the run's
own numbers. Checkpoints, optimizer states, pickles, journals, temporary files, and what names
folders of this machine (run.json, recipe.yaml, result.json; the card has recipe and scores) stay.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hfcli import hub
from hfcli.errors import ModelError, RecipeError, RunError
from hfcli.models.resolve import ModelSource
from hfcli.process import check_single_process
from hfcli.results import PushResult
from hfcli.runfolder.names import (
    METRICS_FILE,
    RECIPE_FILE,
    RESULT_FILE,
    RUN_FILE,
    SAMPLES_FILE,
    TRAINER_STATE_FILE,
)
from hfcli.transfers import guard, network_errors

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

PICTURES = {".png", ".svg"}
SUFFIXES = PICTURES | {
    ".safetensors", ".json", ".model", ".jinja", ".yaml", ".md", ".html",
}  # fmt: skip
NAMES = {"vocab.txt", "merges.txt", METRICS_FILE, SAMPLES_FILE}  # not any text in the folder
STAYS = {RUN_FILE, RECIPE_FILE, RESULT_FILE, TRAINER_STATE_FILE}
LOGIN = "`hf auth login` saves a token of https://huggingface.co/settings/tokens with write access"
LATER = "`hfcli export push RUN REPO` uploads a finished run later"


def push_folder(
    *,
    folder: Path,
    repo_id: str,
    private: bool = True,
    token: str | None = None,
    progress: bool = False,
) -> PushResult:
    """Upload a finished run, or any model folder, in one commit; the repository is made if need be.

    Works after `hub.go_offline`, which loading a model calls; not when the user forbids the
    network by HF_HUB_OFFLINE.

    Args:
        folder: holds a model or an adapter, and where it holds a recipe, also its result.
        repo_id: `name` or `owner/name`.
        private: whether a new repository is private; an existing one stays as it is.
        token: default: HF_TOKEN, else the one saved by `hf auth login`.
        progress: let the Hub library draw its bars on stderr.

    Raises:
        ModelError: the folder holds no model.
        RecipeError: not a name for a repository.
        RunError: the run is not finished, the Hub cannot be reached or does not allow it; a
            launcher started more than one process.
    """
    check_single_process()
    paths = files_to_push(folder)
    with hub.online():
        api = _open(repo_id, token)
        from huggingface_hub import CommitOperationAdd
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        quiet = contextlib.nullcontext() if progress else disable_progress_bars()
        with quiet, _translated(repo_id):
            repo = api.create_repo(repo_id, private=private, exist_ok=True)
            names = [path.relative_to(folder).as_posix() for path in paths]
            api.create_commit(
                repo.repo_id,
                [CommitOperationAdd(n, p) for n, p in zip(names, paths, strict=True)],
                commit_message="Upload a run of hfcli",
            )
            is_private = bool(api.repo_info(repo.repo_id).private)
    return PushResult(
        url=str(repo),
        repo_id=repo.repo_id,
        private=is_private,
        files=names,
        n_bytes=sum(path.stat().st_size for path in paths),
        notes=_notes(folder),
    )


def check_push(*, repo_id: str, token: str | None = None) -> None:
    """Fail now, before a long run, where `push_folder` would fail after it.

    Looks at the name and asks the Hub who the token belongs to; makes nothing.

    Raises:
        RecipeError, RunError: as `push_folder`.
    """
    with hub.online():
        api = _open(repo_id, token)
        with _translated(repo_id):
            api.whoami()


def files_to_push(folder: Path) -> list[Path]:
    """The files of a finished run that others need, sorted.

    Raises:
        ModelError: the folder holds no model.
        RunError: its run is not finished.
    """
    if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise ModelError(f"{folder}: the folder holds no model (no config.json)")
    if (folder / RECIPE_FILE).is_file() and not (folder / RESULT_FILE).is_file():
        raise RunError(
            f"{folder}: the run is not finished (no result.json)",
            hint="go on with `hfcli finetune RECIPE --resume`",
        )
    found = [
        path
        for path in folder.glob("*")
        if path.name in NAMES or (path.suffix in SUFFIXES and path.name not in STAYS)
    ]
    # Below it stand checkpoints and the logs of trackers, and pictures of the report.
    pictures = [path for path in folder.glob("*/*") if path.suffix in PICTURES]
    hidden = [path for path in (*found, *pictures) if _is_hidden(path.relative_to(folder))]
    return sorted(path for path in {*found, *pictures} - {*hidden} if path.is_file())


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "checkpoint-")) for part in path.parts)


def _notes(folder: Path) -> list[str]:
    base = ModelSource(str(folder), folder).adapter_base()
    if base is None or not Path(base).exists():
        return []
    return [
        f"the adapter belongs on {base}, a folder of this machine, so that nobody else can load it:"
        " `hfcli export merge` makes a whole model of it"
    ]


def _open(repo_id: str, token: str | None) -> HfApi:
    if hub.is_offline():
        raise RunError("the network is switched off (HF_HUB_OFFLINE), so nothing can be uploaded")
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo_id)
    except HFValidationError as e:
        raise RecipeError(
            f"{repo_id!r} is not a name for a repository",
            hint="owner/name, such as someone/my-model",
        ) from e
    token = token or get_token()
    if token is None:
        raise RunError(f"{repo_id}: not logged in to the Hub", hint=LOGIN)
    if not hub.reachable():
        raise RunError(
            f"{repo_id}: the Hub cannot be reached, so nothing was uploaded",
            hint=LATER,
        )
    return HfApi(token=token)


@contextlib.contextmanager
def _translated(repo_id: str) -> Iterator[None]:
    """Errors of the Hub library as ours; its remarks about a card's metadata are not shown."""
    from huggingface_hub.errors import HfHubHTTPError

    from hfcli.hub_client import HTTPError

    known = (HfHubHTTPError, HTTPError, OSError, RuntimeError, ValueError)
    guard()
    try:
        with (
            network_errors(RunError, f"{repo_id}: the upload broke off", passes=known),
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings("ignore", "Warnings while validating metadata", UserWarning)
            yield
    except HfHubHTTPError as e:
        raise _refused(repo_id, e) from e
    except (HTTPError, OSError, RuntimeError) as e:
        # The last two are what the Hub library makes of an upload that broke off.
        cause = e.__cause__ or e
        raise RunError(
            f"{repo_id}: the upload broke off ({str(cause).partition(chr(10))[0]})",
            hint=LATER,
        ) from e
    except ValueError as e:
        # The only one a commit of ours can meet: README.md's metadata.
        raise RunError(f"{repo_id}: {' '.join(str(e).split())}") from e


def _refused(repo_id: str, error: HfHubHTTPError) -> RunError:
    status = error.response.status_code
    if status == 401:
        return RunError(f"{repo_id}: the Hub does not accept the token", hint=LOGIN)
    if status == 403:
        return RunError(f"{repo_id}: this token may not write there", hint=LOGIN)
    first = " ".join(str(error).split())
    return RunError(f"{repo_id}: the Hub refused the upload ({first})")
