"""What hfcli runs on: packages, machine, folders, network and speed-ups, without secrets.

Works without torch: what only torch knows is asked of another process, which may fail.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import replace

import hfcli
from hfcli.environment.folders import cache_folders, describe_network
from hfcli.environment.machine import describe_memory, describe_processor, describe_system
from hfcli.environment.packages import (
    described_extras,
    described_packages,
    own_requirements,
    tested_python,
)
from hfcli.environment.privacy import Privacy
from hfcli.environment.speedups import described_speed_ups
from hfcli.environment.torch_facts import ask_torch
from hfcli.environment.trial import run_check
from hfcli.results import DeviceInfo, EnvironmentResult, SetVariable

PREFIX = "HFCLI_"


def describe_environment(
    *, flags: Mapping[str, str], variables: Mapping[str, str], check: bool = False
) -> EnvironmentResult:
    """Return what decides how hfcli works here; the user's name, home and tokens are left out.

    Args:
        flags: variables that set a flag, and the flag.
        variables: hfcli's other variables, and what they set.
        check: train two steps and write ten tokens, too.
    """
    facts, torch_error = ask_torch()
    requirements = own_requirements()
    found = EnvironmentResult(
        hfcli=hfcli.__version__,
        python=platform.python_version(),
        python_tested=tested_python(),
        executable=sys.executable or "",
        system=describe_system(),
        packages=described_packages(requirements),
        extras=described_extras(requirements),
        processor=describe_processor(facts),
        memory=describe_memory(),
        devices=[DeviceInfo(**one) for one in facts.get("devices", [])],
        torch_error=torch_error,
        folders=cache_folders(),
        network=describe_network(),
        speed_ups=described_speed_ups(facts.get("speed_ups")),
        variables=set_variables({**flags, **variables}),
    )
    if check:
        found = replace(found, check=run_check())
    return Privacy.of_user().hidden(found)


def set_variables(known: Mapping[str, str]) -> list[SetVariable]:
    """Return every variable with hfcli's prefix that is set.

    Args:
        known: names, and what they set.
    """
    names = sorted(name for name, value in os.environ.items() if name.startswith(PREFIX) and value)
    return [SetVariable(name, os.environ[name], known.get(name)) for name in names]
