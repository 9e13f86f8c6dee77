"""The front as a Lambda function, over real servers and a stub of Lambda's Runtime API."""

import asyncio

import psycopg

from front.function import serve_function
from tests.integration.front.front_harness import FrontHarness
from tests.support.eventually import eventually
from tests.support.function_url import FunctionUrl, url_event

COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'front'"


async def test_front_function_keeps_no_connection_to_postgresql(
    harness: FrontHarness, app_dsn: str, postgres_dsn: str
) -> None:
    """Each open stream has an environment, and a frozen one cannot close what it keeps."""
    dsn = psycopg.conninfo.make_conninfo(app_dsn, application_name="front")
    settings = harness.settings(postgres_dsn=dsn)
    async with FunctionUrl().serve() as url:
        serving = asyncio.create_task(serve_function(settings, runtime_api=url.address))
        try:
            # Only the database could know it.
            path = f"/v1/responses/resp_{'0' * 32}/input_items"
            answer = url.invoke(url_event("GET", path, headers=harness.headers))
            await eventually(lambda: answer.ended)
            await eventually(lambda: url.asked == 2)
            with psycopg.connect(postgres_dsn, autocommit=True) as other:
                # The server sees the end of a connection a moment later.
                await eventually(lambda: other.execute(COUNT).fetchone() == (0,))
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
    assert answer.prelude["statusCode"] == 404
