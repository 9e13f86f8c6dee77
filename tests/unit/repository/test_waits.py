"""Every wait of worker, relay and front has a limit beside it, or a row in docs/waits.md."""

import re

import pytest

from tests.support.repository import ROOT
from tests.unit.repository.waits import MODULE, Wait, waiting, waits

TABLE = ROOT / "docs" / "waits.md"
WORK = "## Waits for work"
ROW = re.compile(r"^\| `([^`]+\.py)` \| `([^`]+)` \| ([^|]+) \|(?: ([^|]+) \|)?$", re.MULTILINE)


def test_waits_are_those_of_the_table() -> None:
    rows = [Wait(row[1], row[2]) for row in ROW.finditer(TABLE.read_text())]
    assert len(rows) == len(set(rows))
    assert sorted(waits() - set(rows)) == []  # give the wait a limit, or the table a row
    assert sorted(set(rows) - waits()) == []  # the row of a wait that is gone


def test_waits_that_hold_somebody_name_their_end() -> None:
    bounded, _, work = TABLE.read_text().partition(WORK)
    assert all(row[4] for row in ROW.finditer(bounded))
    assert len(list(ROW.finditer(work))) < 20


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("await self._event.wait()", True),
        ("await asyncio.wait_for(self._event.wait(), 5)", False),
        ("await asyncio.wait(tasks)", True),
        ("await asyncio.wait(tasks, timeout=5)", False),
        ("await asyncio.wait(tasks, timeout=None)", True),
        ("await queue.get()", True),
        ("await client.get(url)", False),
        ("await task", True),
        ("await self._done", True),
        ("await self._call()", False),
        ("await self._engine.close()", False),
        ("await loaded.engine.close()", True),
        ("await asyncio.to_thread(call)", True),
        ("await asyncio.gather(*tasks)", True),
        ("await asyncio.gather(self._call(), *map(self._call, values))", False),
        ("async for chunk in chunks: pass", True),
        ("async for page in pages(valkey, key): pass", False),
        ("async for chunk in loaded.engine.generate(request): pass", True),
        ("async with self._lock: pass", True),
        ("async with asyncio.TaskGroup() as group: pass", True),
        ("async with transaction(pool) as connection: await connection.execute(sql)", False),
        ("async with asyncio.timeout(5): await event.wait()", False),
        ("async with asyncio.timeout(5), self._lock: await event.wait()", False),
        ("select.select([fd], [], [])", True),
        ("select.select([fd], [], [], 0)", False),
        ("RetryPolicy(errors=errors)", True),
        ("RetryPolicy(errors=errors, within_s=5)", False),
    ],
)
def test_waits_are_found_by_their_form(statement: str, found: bool) -> None:
    module = f"class C:\n    async def f(self):\n        {statement}\n"
    assert waiting(module) == ({"C.f"} if found else set())


def test_waits_inside_a_limit_of_the_outer_function_only_are_found() -> None:
    module = (
        "async def outer():\n"
        "    async with asyncio.timeout(1):\n"
        "        async def inner():\n"
        "            await event.wait()\n"
        "        await inner()\n"
    )
    assert waiting(module) == {"outer.inner"}
    assert waiting("POLICY = RetryPolicy()\n") == {MODULE}
