"""Description of the machine and the versions of a run."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil


def describe() -> list[str]:
    """Return lines for the head of a report: the date, the machine, the versions."""
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "redis"))
    used = f"Python {platform.python_version()}, axon {version('axon')}, {versions}"
    return [
        f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"Machine: {_cpu_model()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory",
        f"System: {platform.system()} {platform.release()} {platform.machine()}",
        f"{used}; peers as pinned in benchmarks/requirements/",
    ]


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
