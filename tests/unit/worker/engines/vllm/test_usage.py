import pytest

from axon.protocol.objects import Usage
from worker.engines.protocol import GenerateRequest, Prompt, Sampling, TokenChunk
from worker.engines.vllm.usage import UsageCount


@pytest.mark.parametrize(("told", "cached"), [(None, 0), (0, 0), (2, 2), (5, 3), (-1, 0)])
def test_usage_count_is_in_the_last_chunk(told: int | None, cached: int) -> None:
    request = GenerateRequest("r", "m", Prompt((1, 2, 3), ""), Sampling(max_tokens=9), (7, 8))
    usage = UsageCount(request)
    assert usage.counted(TokenChunk("a", (5, 6)), cached=told).usage is None
    last = usage.counted(TokenChunk("b", (4,), "stop"), cached=told)
    assert last.usage == Usage(input_tokens=3, output_tokens=5, cached_tokens=cached)
    assert (last.text, last.token_ids, last.finish_reason) == ("b", (4,), "stop")
