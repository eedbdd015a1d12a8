"""What others need not know: the user's name and home folder, and tokens."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

from hfcli.environment.folders import TOKENS
from hfcli.results import SetVariable

Described = TypeVar("Described")
SECRET = "***"
USER = "<user>"
SHORTEST = 8  # characters of a value that is searched for as a secret
# Names of variables whose value is a secret, and values that are one wherever they stand.
SECRET_NAME = re.compile(r"(TOKENS?|SECRET|PASSWORD|CREDENTIALS?|API_?KEY)(?!\w*_(PATH|FILE))(_|$)")
TOKEN = re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{16,}\b")


@dataclass(frozen=True)
class Privacy:
    """What is taken out of every text.

    Args:
        homes: folders that become `~`, longest first.
        user: the name that is taken out of paths; empty: none is known.
        secrets: texts that are taken out everywhere.
    """

    homes: tuple[str, ...]
    user: str
    secrets: tuple[str, ...]

    @classmethod
    def of_user(cls) -> Privacy:
        """Return what to hide of the user who runs this process."""
        home = os.path.expanduser("~")
        homes = {home, os.path.realpath(home)} - {"~", os.sep, ""}
        told = {name: value for name, value in os.environ.items() if SECRET_NAME.search(name)}
        values = {*told.values(), *(os.environ.get(name, "") for name in TOKENS)}
        secrets = (value for value in values if len(value) >= SHORTEST)
        return cls(_longest_first(homes), _user_name(), _longest_first(secrets))

    def hidden(self, value: Described) -> Described:
        """Return the value with all of it taken out of its texts, at any depth."""
        return self._hidden(value)  # type: ignore[no-any-return]

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._hidden(item) for item in value]
        if isinstance(value, dict):
            return {key: self._hidden(item) for key, item in value.items()}
        if is_dataclass(value) and not isinstance(value, type):
            told = {field.name: getattr(value, field.name) for field in fields(value)}
            if isinstance(value, SetVariable) and SECRET_NAME.search(value.name):
                told["value"] = SECRET
            return type(value)(**{name: self._hidden(item) for name, item in told.items()})
        return value

    def text(self, text: str) -> str:
        """Return the text with all of it taken out."""
        for secret in self.secrets:
            text = text.replace(secret, SECRET)
        text = TOKEN.sub(SECRET, text)
        for home in self.homes:
            text = re.sub(rf"{re.escape(home.rstrip(os.sep))}(?![\w.-])", "~", text)
        if self.user and ("/" in text or "\\" in text):
            text = re.sub(rf"(?<![^\W_]){re.escape(self.user)}(?![^\W_])", USER, text)
        return text


def _longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(texts, key=lambda text: (-len(text), text)))


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, as in a container
        return ""
