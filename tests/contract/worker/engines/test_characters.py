"""No engine shows a part of a character, wherever its tokens split it."""

from dataclasses import replace

import pytest

from tests.contract.worker.engines.engine_samples import CHARACTERS, EngineCase, answer_of
from worker.engines.protocol import GenerateRequest

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKENS = 60


async def asked(case: EngineCase, *, max_tokens: int = TOKENS) -> GenerateRequest:
    known = (await case.tokens_of(CHARACTERS))[:6] if case.spell_begun else ()
    max_tokens = len(known) + min(max_tokens, 16) if case.spell_begun else max_tokens
    request = await case.request(case.spell.format(CHARACTERS), max_tokens=max_tokens, known=known)
    return replace(request, text_format=case.spell_format)


async def test_engine_returns_whole_characters(case: EngineCase) -> None:
    chunks = await case.chunks(await asked(case))
    answer = answer_of(chunks)
    assert "\ufffd" not in answer.text
    assert all(chunk.text for chunk in chunks[:-1])
    if case.counts_tokens:
        assert any(len(chunk.token_ids) > 1 for chunk in chunks)
    if not case.spell_begun:
        assert answer.text.strip('"') == CHARACTERS
        assert answer.reason == "stop"


async def test_engine_drops_a_character_cut_by_the_limit_and_counts_its_tokens(
    case: EngineCase,
) -> None:
    request = await asked(case)
    whole, known = answer_of(await case.chunks(request)), len(request.generated_token_ids)
    for limit in range(1, min(len(whole.token_ids), 20), 5 if case.slow else 1):
        sampling = replace(request.sampling, max_tokens=known + limit)
        cut = answer_of(
            await case.chunks(replace(request, request_id=f"cut-{limit}", sampling=sampling))
        )
        assert whole.text.startswith(cut.text)
        assert cut.reason == "length"
        if case.counts_tokens:
            assert cut.token_ids == whole.token_ids[:limit]


async def test_engine_continues_within_a_character(case: EngineCase) -> None:
    request = await asked(case)
    whole, known = answer_of(await case.chunks(request)), request.generated_token_ids
    for k in range(0, min(len(whole.token_ids), 20), 5 if case.slow else 1):
        more = replace(
            request, request_id=f"more-{k}", generated_token_ids=known + whole.token_ids[:k]
        )
        rest = answer_of(await case.chunks(more))
        assert rest.token_ids == whole.token_ids[k:]
        assert whole.text.endswith(rest.text)
        assert rest.reason == whole.reason
