"""What hfcli runs on, as `hfcli env` shows it. Frozen; nothing is computed here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PackageVersion:
    """A package that hfcli needs, or that an extra of it needs.

    Args:
        installed: its version; None: it is not installed.
        tested: the range of versions that hfcli allows, such as `>=2.6,<3`; empty: any.
        pinned: the version that every test of hfcli ran with, where one is known.
        status: `tested`, `outside` the range, or `missing`.
    """

    name: str
    installed: str | None
    tested: str
    pinned: str | None
    status: str


@dataclass(frozen=True)
class Extra:
    """Packages for one purpose that are installed when asked for.

    Args:
        install: the command that installs them.
    """

    name: str
    present: bool
    packages: list[PackageVersion]
    install: str


@dataclass(frozen=True)
class Processor:
    """The processor, and the instructions that decide whether it computes in bfloat16.

    Args:
        features: names of instruction sets, and whether it has them.
        bfloat16: whether `training.bf16: auto` is on; None: torch did not say.
        cores: of the machine.
        usable: of them, by this process (affinity, and the container's limit).
        threads: that torch computes with.
        variables: of the environment, that limit them and are set.
    """

    name: str
    machine: str
    features: dict[str, bool]
    bfloat16: bool | None
    cores: int | None
    usable: float | None
    threads: int | None
    variables: dict[str, str]


@dataclass(frozen=True)
class Memory:
    """Bytes of the machine; `limit` is that of the container or its groups."""

    total: int | None
    free: int | None
    limit: int | None


@dataclass(frozen=True)
class DeviceInfo:
    """A device as `--device` names it; memory in bytes."""

    name: str
    description: str
    memory: int | None
    free: int | None


@dataclass(frozen=True)
class Folder:
    """Where files are kept.

    Args:
        variable: of the environment, that set it; None: a default.
        free: bytes on its disk.
    """

    name: str
    path: str
    variable: str | None
    exists: bool
    writable: bool
    free: int | None


@dataclass(frozen=True)
class Network:
    """What is known of the network without using it.

    Args:
        offline: whether the environment forbids it.
        variables: that decide it and are set.
        token: where a token for the Hub comes from; never the token.
    """

    offline: bool
    variables: dict[str, str]
    token: str | None


@dataclass(frozen=True)
class SpeedUp:
    """Something that is made faster.

    Args:
        switch: what leaves it out: `--without NAME`, or
            `training.disable_optimizations: [NAME]`.
        on: None: not known, since torch cannot be used.
    """

    name: str
    what: str
    switch: str
    on: bool | None
    why: str


@dataclass(frozen=True)
class SetVariable:
    """A variable of hfcli's that is set, and what it sets; None: nothing."""

    name: str
    value: str
    sets: str | None


@dataclass(frozen=True)
class CheckResult:
    """Two training steps and ten tokens with the bundled model.

    Args:
        error: what failed; None: nothing did.
        text: what was written.
    """

    seconds: float
    text: str | None
    error: str | None


@dataclass(frozen=True)
class EnvironmentResult:
    """Everything that decides what hfcli does here.

    Args:
        python_tested: versions of Python that hfcli allows.
        torch_error: why torch cannot be used; None: it can.
        check: None: it was not asked for.
    """

    hfcli: str
    python: str
    python_tested: str
    executable: str
    system: str
    packages: list[PackageVersion]
    extras: list[Extra]
    processor: Processor
    memory: Memory
    devices: list[DeviceInfo]
    torch_error: str | None
    folders: list[Folder]
    network: Network
    speed_ups: list[SpeedUp]
    variables: list[SetVariable]
    check: CheckResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)
