from axon.tracing import NoTracing


async def test_no_tracing_runs_work_and_returns_no_header() -> None:
    tracing = NoTracing()
    with tracing.receive("job", header="Root=1-1-1;Sampled=1", model="echo"), tracing.span("part"):
        tracing.annotate(epoch=1)
        assert tracing.header() is None
    await tracing.close()
