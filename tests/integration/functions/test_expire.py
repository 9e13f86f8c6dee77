"""functions/expire on a real database, with the retention that functions/keys has set."""

from datetime import UTC, datetime

import psycopg
import pytest

from tests.integration.functions.conftest import FunctionsHarness
from tests.integration.functions.test_write_history import event, record, responses

DAY_MS = 24 * 3600 * 1000


@pytest.mark.parametrize(("days", "kept"), [(None, {1, 10}), (2, {1}), (0, {1, 10, 40})])
def test_expire_deletes_what_its_tenant_does_not_keep(
    harness: FunctionsHarness, days: int | None, kept: set[int]
) -> None:
    keys = harness.load("keys")
    keys.handler({"action": "create", "tenant_id": "t", "name": "n"}, None)
    set_days = {"action": "set_retention", "tenant_id": "t", "days": days}
    assert keys.handler(set_days, None) == {"tenant_id": "t", "days": days}
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    records = [
        record(
            age,
            conversation_id=f"conv_{age}",
            previous_response_id=None,
            created_ms=now_ms - age * DAY_MS,
            ended_ms=now_ms - age * DAY_MS,
        )
        for age in (1, 10, 40)
    ]
    harness.load("write_history").handler(event(*records), None)
    expired = 3 - len(kept)
    answer = harness.load("expire").handler({}, None)
    assert answer == {"responses": expired, "conversations": expired}
    assert responses(harness).keys() == {f"resp_{age}" for age in kept}
    with psycopg.connect(harness.variables["postgres_dsn"]) as connection:
        rows = connection.execute("SELECT count(*) FROM conversations").fetchall()
    assert rows == [(len(kept),)]
