"""Versions of packages, beside the ranges that hfcli was tested in. Imports none of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from hfcli.results import Extra, PackageVersion

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

NAME = "hfcli"
PACKAGE = Path(__file__).parent.parent
# In a wheel beside the package's modules, in the repository in its root.
CONSTRAINTS = (PACKAGE / "constraints.txt", PACKAGE.parent / "constraints.txt")
FOR_DEVELOPERS = ("test", "dev")


def own_requirements() -> list[Requirement]:
    """Return what hfcli's own metadata require; nothing where hfcli is not installed."""
    from packaging.requirements import Requirement

    try:
        return [Requirement(line) for line in metadata.requires(NAME) or []]
    except metadata.PackageNotFoundError:
        return []


def tested_python() -> str:
    """Return the versions of Python that hfcli allows, such as `>=3.11`."""
    from packaging.specifiers import SpecifierSet

    try:
        told = metadata.metadata(NAME).get_all("Requires-Python") or [""]
    except metadata.PackageNotFoundError:
        return ""
    return _range(SpecifierSet(told[0]))


def described_packages(requirements: Iterable[Requirement]) -> list[PackageVersion]:
    """Return what is installed of hfcli's dependencies."""
    pinned = _pinned_versions()
    needed = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    return [_described(one, pinned) for one in needed]


def described_extras(requirements: Iterable[Requirement]) -> list[Extra]:
    """Return hfcli's extras, those for its developers left out, and what is there of each."""
    requirements, pinned = list(requirements), _pinned_versions()
    try:
        names = metadata.metadata(NAME).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        names = []
    found = []
    for name in names:
        needed = [r for r in requirements if _belongs_to(r, name)]
        packages = [_described(one, pinned) for one in needed]
        if name not in FOR_DEVELOPERS and packages:
            present = all(one.installed is not None for one in packages)
            found.append(Extra(name, present, packages, f"pip install '{NAME}[{name}]'"))
    return found


def _belongs_to(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    if marker is None or marker.evaluate({"extra": ""}):
        return False
    return marker.evaluate({"extra": extra})


def _described(requirement: Requirement, pinned: Mapping[str, str]) -> PackageVersion:
    installed = installed_version(requirement.name)
    status = "missing"
    if installed is not None:
        inside = requirement.specifier.contains(installed, prereleases=True)
        status = "tested" if inside else "outside"
    return PackageVersion(
        name=requirement.name,
        installed=installed,
        tested=_range(requirement.specifier),
        pinned=pinned.get(_canonical(requirement.name)),
        status=status,
    )


def installed_version(name: str) -> str | None:
    """Return the version of a package; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _range(specifiers: SpecifierSet) -> str:
    """The bounds, lower ones first."""
    texts = sorted(map(str, specifiers), key=lambda text: (text[0] == "<", text))
    return ",".join(texts)


def _pinned_versions() -> dict[str, str]:
    """The versions of constraints.txt, by canonical name."""
    for path in CONSTRAINTS:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        pairs = (line.partition(";")[0].split("==") for line in lines if "==" in line)
        return {_canonical(name.strip()): version.strip() for name, version in pairs}
    return {}


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)
