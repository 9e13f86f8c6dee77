"""The wheels of the dependency layer: their fingerprint, their requirements, and failures."""

from pathlib import Path

import pytest

from infra.constructs.functions import wheels
from infra.constructs.functions.wheels import Wheels, WheelsError


def test_wheels_fingerprint_depends_on_lock_python_and_processor() -> None:
    first = Wheels(python="3.13", architecture="arm64")
    assert first.fingerprint == Wheels(python="3.13", architecture="arm64").fingerprint
    assert first.fingerprint != Wheels(python="3.14", architecture="arm64").fingerprint
    assert first.fingerprint != Wheels(python="3.13", architecture="x86_64").fingerprint


def test_wheels_requirements_are_exact_and_for_production_only() -> None:
    requirements = wheels.requirements()
    assert "psycopg-binary==" in requirements
    assert "--hash=sha256:" in requirements
    assert "pytest" not in requirements
    assert "aws-cdk-lib" not in requirements


def test_wheels_report_a_failure_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(WheelsError, match=r"^uv pip failed: .*python-version.*$"):
        Wheels(python="3.x", architecture="arm64").install(tmp_path)


def test_wheels_without_uv_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(wheels, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WheelsError, match="make setup"):
        Wheels(python="3.13", architecture="arm64")


def test_wheels_of_the_front_have_the_packages_of_services() -> None:
    """Those that its image installs, which tests/infra/images imports it with."""
    functions, front = (
        {line.split("==")[0] for line in wheels.requirements(extras).splitlines() if "==" in line}
        for extras in ((), ("service",))
    )
    assert functions < front
    assert {"prometheus-client", "uvloop"} <= front - functions
    plain, more = (
        Wheels(python="3.13", architecture="arm64", extras=extras) for extras in ((), ("service",))
    )
    assert plain.fingerprint != more.fingerprint
