"""Verdicts on formats: each format is compiled once, and what kills the compiler never again."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from worker.engines.format_checks import FormatChecks
from worker.engines.grammar_process import FormatKilledError
from worker.engines.protocol import BusyError, EngineError, RefusedError


class Compiler:
    """Answers with what a schema says; waits before while `gate` is clear."""

    def __init__(self) -> None:
        self.compiled: list[Any] = []
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def compile(self, text_format: Mapping[str, Any]) -> str | None:
        self.compiled.append(text_format.get("schema"))
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop()
        reason: str | None = text_format.get("schema", {}).get("refused")
        return reason

    async def close(self) -> None:
        self.closed = True


def a_format(n: int = 0, *, name: str = "answer", **schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "name": name, "schema": {"n": n, **schema}}


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


async def test_format_checks_compile_a_format_once(compiler: Compiler) -> None:
    checks = FormatChecks(compiler)
    for name in ("one", "two", "two"):
        await checks.check(a_format(name=name))
    await checks.check({"type": "json_object"})
    await checks.check({"type": "json_object"})
    assert compiler.compiled == [{"n": 0}, None]


async def test_format_checks_start_the_compiler_before_the_first_format(
    compiler: Compiler, caplog: pytest.LogCaptureFixture
) -> None:
    compiler.failures = [EngineError("it does not start")]
    checks = FormatChecks(compiler)
    for compiled in (1, 2):
        checks.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(compiler.compiled) == compiled
    assert "not compiled: it does not start" in caplog.text
    await checks.check({"type": "json_object"})
    assert len(compiler.compiled) == 2


async def test_format_checks_refuse_a_format_by_its_name(compiler: Compiler) -> None:
    checks = FormatChecks(compiler)
    for name in ("one", "two"):
        with pytest.raises(RefusedError, match=f"'text.format' '{name}': no such type"):
            await checks.check(a_format(name=name, refused="no such type"))
    assert len(compiler.compiled) == 1


async def test_format_that_killed_the_compiler_is_never_compiled_again(
    compiler: Compiler, caplog: pytest.LogCaptureFixture
) -> None:
    checks = FormatChecks(compiler)
    compiler.failures = [FormatKilledError("it makes the compiler fail")]
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(RefusedError, match="'answer': it makes the compiler fail"):
                await checks.check(a_format(secret="canary"))
    assert "canary" not in caplog.text
    await checks.check(a_format(1))
    # Behind it, a format that everybody knows starts the compiler again.
    assert compiler.compiled == [{"n": 0, "secret": "canary"}, None, {"n": 1}]


async def test_compiler_that_does_not_start_is_no_verdict(compiler: Compiler) -> None:
    checks = FormatChecks(compiler)
    compiler.failures = [EngineError("it does not start")]
    with pytest.raises(EngineError, match="does not start"):
        await checks.check(a_format())
    await checks.check(a_format())


async def test_format_checks_share_the_verdict_of_a_client_that_goes(compiler: Compiler) -> None:
    checks = FormatChecks(compiler)
    compiler.gate.clear()
    asking = [asyncio.create_task(checks.check(a_format())) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    compiler.gate.set()
    await asyncio.gather(*asking[1:])
    assert asking[0].cancelled()
    assert len(compiler.compiled) == 1


async def test_format_checks_send_a_request_back_that_waits_too_long(compiler: Compiler) -> None:
    checks = FormatChecks(compiler, wait_s=0.01)
    compiler.gate.clear()
    with pytest.raises(BusyError):
        await checks.check(a_format())
    compiler.gate.set()
    await checks.check(a_format())  # the verdict came meanwhile
    assert len(compiler.compiled) == 1


@pytest.mark.parametrize(("slots", "most"), [(1, 1), (8, 2), (64, 16), (None, 4)])
async def test_format_checks_let_few_requests_wait(
    compiler: Compiler, slots: int | None, most: int
) -> None:
    checks = FormatChecks(compiler, slots=slots)
    await checks.check(a_format(1))
    compiler.gate.clear()
    asking = [asyncio.create_task(checks.check(a_format())) for _ in range(most)]
    await asyncio.sleep(0)
    for n in (0, 2):  # whether its format is being compiled or not
        with pytest.raises(BusyError, match="too many requests"):
            await checks.check(a_format(n))
    await checks.check(a_format(1))  # its verdict is known
    asking.pop().cancel()
    await asyncio.sleep(0)
    asking.append(asyncio.create_task(checks.check(a_format())))
    await asyncio.sleep(0)
    compiler.gate.set()
    await asyncio.gather(*asking)
    await checks.check(a_format(2))
    assert len(compiler.compiled) == 3


async def test_format_checks_take_a_bounded_number_of_formats(compiler: Compiler) -> None:
    checks = FormatChecks(compiler, slots=80)
    compiler.gate.clear()
    asking = [asyncio.create_task(checks.check(a_format(n))) for n in range(16)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError, match="too many formats"):
        await checks.check(a_format(16))
    await checks.close()
    assert compiler.closed
    assert all(
        isinstance(each, asyncio.CancelledError)
        for each in await asyncio.gather(*asking, return_exceptions=True)
    )


async def test_format_checks_forget_the_verdicts_used_longest_ago(compiler: Compiler) -> None:
    checks = FormatChecks(compiler)
    for n in range(1024):
        await checks.check(a_format(n))
    await checks.check(a_format(0))
    await checks.check(a_format(1024))
    compiler.compiled.clear()
    await checks.check(a_format(0))
    assert compiler.compiled == []
    await checks.check(a_format(1))
    assert len(compiler.compiled) == 1
