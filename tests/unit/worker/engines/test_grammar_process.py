"""The process that compiles formats, with a compiler that does to it what native code may do."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.eventually import eventually
from tests.unit.worker.engines.compiler_stub import DIE_LOADING
from worker.engines.grammar_process import FormatKilledError, GrammarProcess
from worker.engines.grammar_server import GrammarLimits
from worker.engines.protocol import EngineError

SCRIPT = Path(__file__).with_name("compiler_stub.py")
LIMITS = GrammarLimits(cpu_s=0.1, wall_s=60.0, memory_bytes=1 << 28)


def process(*arguments: str, limits: GrammarLimits = LIMITS) -> GrammarProcess:
    return GrammarProcess(
        command=(sys.executable, str(SCRIPT), limits.argument, *arguments), limits=limits
    )


def children() -> list[psutil.Process]:
    """Return the stub's processes; one that has ended has no command line."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if str(SCRIPT) in child.cmdline():
                found.append(child)
    return found


def a_format(does: str, **more: str) -> dict[str, object]:
    return {"type": "json_schema", "name": "n", "schema": {"does": does, **more}}


@pytest.fixture
async def compiler() -> AsyncIterator[GrammarProcess]:
    compiler = process()
    yield compiler
    await compiler.close()
    assert not children()


async def test_grammar_process_compiles_and_refuses(compiler: GrammarProcess) -> None:
    assert await compiler.compile(a_format("compile")) is None
    (child,) = children()
    assert await compiler.compile(a_format("refuse", reason="no such type")) == "no such type"
    assert await compiler.compile(a_format("refuse", reason="x" * 9_000)) == "x" * 400
    assert await compiler.compile(a_format("refuse", reason="")) == "ValueError"
    assert await compiler.compile(a_format("print")) is None
    assert children() == [child]
    assert "memory" in str(await compiler.compile(a_format("eat")))
    assert child not in children()


async def test_grammar_process_compiles_after_its_child_has_ended(compiler: GrammarProcess) -> None:
    assert await compiler.compile(a_format("compile")) is None
    children()[0].kill()
    await eventually(lambda: not children())
    assert await compiler.compile(a_format("compile")) is None


async def test_grammar_process_compiles_again_what_ended_a_used_child(
    compiler: GrammarProcess, tmp_path: Path
) -> None:
    for does in ("segfault once", "eat once"):
        assert await compiler.compile(a_format("compile")) is None
        seen = tmp_path / does
        assert await compiler.compile(a_format(does, seen=str(seen))) is None
        assert seen.exists()
    # By a new child, a format has nobody else to blame.
    await compiler.close()
    seen = tmp_path / "new"
    with pytest.raises(FormatKilledError, match="makes the compiler fail"):
        await compiler.compile(a_format("segfault once", seen=str(seen)))


@pytest.mark.parametrize(
    ("tokens", "cpu_s"), [(256, 40.0), (49_000, 40.0), (61_250, 50.0), (128_000, 60.0)]
)
def test_grammar_limits_grow_with_the_vocabulary_up_to_the_wall_limit(
    tokens: int, cpu_s: float
) -> None:
    limits = GrammarLimits.for_vocabulary(tokens)
    assert limits.cpu_s == cpu_s <= limits.wall_s == 60.0


async def test_grammar_process_survives_the_death_of_its_child(compiler: GrammarProcess) -> None:
    for does, what in (("segfault", "makes the compiler fail"), ("burn", "takes too long")):
        with pytest.raises(FormatKilledError, match=what):
            await compiler.compile(a_format(does))
        assert await compiler.compile(a_format("compile")) is None


async def test_grammar_process_ends_a_child_that_hangs() -> None:
    compiler = process(limits=GrammarLimits(cpu_s=5, wall_s=0.1))
    with pytest.raises(FormatKilledError, match="too long"):
        await compiler.compile(a_format("hang"))
    assert not children()
    await compiler.close()


async def test_grammar_process_ends_a_child_whose_answer_nobody_waits_for(
    compiler: GrammarProcess,
) -> None:
    assert await compiler.compile(a_format("compile")) is None
    asking = asyncio.create_task(compiler.compile(a_format("hang")))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await compiler.compile(a_format("refuse", reason="its own")) == "its own"


async def test_grammar_process_that_does_not_start_is_the_engines_failure() -> None:
    compiler = process(DIE_LOADING)
    with pytest.raises(EngineError, match=r"does not start: 3"):
        await compiler.compile(a_format("compile"))
    assert not children()
