"""Every engine ends its answers before a stop string."""

from collections.abc import Sequence

import pytest

from tests.contract.worker.engines.engine_samples import Answer, EngineCase, answer_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKENS = 24


def first_stop(text: str, stops: Sequence[str]) -> tuple[str, str]:
    """The text before the first stop string, and that string, found the slow way."""
    for end in range(len(text) + 1):
        for stop in sorted(stops, key=len, reverse=True):
            if text[:end].endswith(stop):
                return text[: end - len(stop)], stop
    raise AssertionError("no stop string")


async def whole(case: EngineCase) -> Answer:
    return await case.answer(case.long, max_tokens=TOKENS)


def stops_of(text: str, *, slow: bool = False) -> list[tuple[str, ...]]:
    """At the beginning, within a token, over two and over several, and some that overlap."""
    third, half = len(text) // 3, len(text) // 2
    stops = [
        (text[:3],),
        (text[half],),
        (text[third : third + 2],),
        (text[third : third + 3],),
        (text[half : half + 14],),
        ("no such text", text[half : half + 9], text[half + 2 : half + 6]),
        (text[half : half + 5], text[half + 1 : half + 5]),
    ]
    return stops[4:6] if slow else stops


async def test_engine_ends_an_answer_before_the_first_stop_string(case: EngineCase) -> None:
    answer = await whole(case)
    for stop in stops_of(answer.text, slow=case.slow):
        stopped = await case.answer(case.long, max_tokens=TOKENS, stop=stop)
        assert (stopped.text, stopped.stop) == first_stop(answer.text, stop)
        assert stopped.reason == "stop"
        if case.counts_tokens:
            assert stopped.token_ids == answer.token_ids[: len(stopped.token_ids)]


async def test_engine_counts_the_tokens_of_the_stop_string_and_none_after_it(
    case: EngineCase,
) -> None:
    if not case.counts_tokens:
        pytest.skip("its pieces of text have no stop string; the upstream counts")
    text = (await whole(case)).text
    for stop in stops_of(text, slow=case.slow):
        made = len((await case.answer(case.long, max_tokens=TOKENS, stop=stop)).token_ids)
        enough = await case.answer(case.long, max_tokens=made)
        assert any(each in enough.text for each in stop)
        if made > 1:
            short = await case.answer(case.long, max_tokens=made - 1)
            assert not any(each in short.text for each in stop)


async def test_engine_shows_the_beginning_of_a_stop_string_at_the_end(case: EngineCase) -> None:
    answer = await whole(case)
    text = answer.text
    stops = (text[len(text) // 2 :][:9], text[-3:], text[:4], text)
    for stop in stops[: 2 if case.slow else 4]:
        assert await case.answer(case.long, max_tokens=TOKENS, stop=(f"{stop}§",)) == answer


async def test_engine_ends_no_chunk_within_a_possible_stop_string(case: EngineCase) -> None:
    text = (await whole(case)).text
    stop = text[len(text) // 2 :][:7]
    request = await case.request(case.long, max_tokens=TOKENS, stop=(f"{stop}§",))
    chunks = await case.chunks(request)
    beginnings = tuple(stop[:length] for length in range(1, len(stop) + 1))
    assert len(chunks) > 1
    assert not any(chunk.text.endswith(beginnings) for chunk in chunks[:-1])


async def test_engine_continues_with_exactly_the_rest(case: EngineCase) -> None:
    text = (await whole(case)).text
    for stop in stops_of(text)[4:5] if case.slow else stops_of(text)[2:6]:
        asked = await case.request(case.long, max_tokens=TOKENS, stop=stop)
        chunks = await case.chunks(asked)
        ids, shown = answer_of(chunks).token_ids, answer_of(chunks).text
        borders = [len(answer_of(chunks[: n + 1]).token_ids) for n in range(len(chunks) - 1)]
        for k in borders[:: 4 if case.slow else 1]:
            rest = await case.answer(case.long, max_tokens=TOKENS, known=ids[:k], stop=stop)
            number = borders.index(k) + 1
            assert rest == answer_of(chunks[number:])
        for k in range(len(ids), -1, -5 if case.slow else -1) if case.knows_texts else ():
            rest = await case.answer(case.long, max_tokens=TOKENS, known=ids[:k], stop=stop)
            assert ids[:k] + rest.token_ids == ids
            assert shown.endswith(rest.text)
            assert rest.reason == "stop"


async def test_engine_frees_the_slot_of_a_stopped_answer(case: EngineCase) -> None:
    stop = ((await whole(case)).text[5:8],)
    for _ in range(case.slots * 2):
        assert (await case.answer(case.long, max_tokens=5000, stop=stop)).reason == "stop"
    assert (await case.answer(case.brief)).reason == "stop"
