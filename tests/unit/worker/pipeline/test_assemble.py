"""The request to the engine, and the part of the conversation in it."""

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from axon.conversations import Turn
from axon.exceptions import RequestError
from tests.unit.axon.samples import a_job
from tests.unit.worker.pipeline.item_samples import message, turn
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.protocol import ChatMessage, GenerateRequest, Prompt, RefusedError, ToolSpec
from worker.metrics import WorkerMetrics
from worker.pipeline.assemble import assemble


class Assembling:
    """An engine of a word per token, and a metric."""

    def __init__(self, *, window: int, most: int = 1000) -> None:
        self.engine = ScriptedEngine(context_window=window, max_output_tokens=most)
        self._registry = CollectorRegistry()
        self._metrics = WorkerMetrics(registry=self._registry)

    @property
    def truncated(self) -> float | None:
        return self._registry.get_sample_value("axon_turns_truncated_total", {"model": "echo"})

    async def request(self, turns: Sequence[Turn] = (), **fields: Any) -> GenerateRequest:
        return await assemble(
            a_job(**fields), turns, engine=self.engine, metrics=self._metrics, request_id="r"
        )


def turns_of(*words: int) -> list[Turn]:
    """Turns of `words` words each: ``q0 ...``, answered with ``a0``."""
    return [
        turn(
            asked=[message("user", " ".join([f"q{n}"] * (count - 1)))],
            answered=[message("assistant", f"a{n}")],
        )
        for n, count in enumerate(words)
    ]


class TestAssembleTruncated:
    async def test_leaves_out_the_oldest_turns_whole(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        assembling = Assembling(window=20)
        with caplog.at_level(logging.INFO):
            request = await assembling.request(
                turns_of(4, 5, 6),
                input="now say",
                instructions="Be brief.",
                truncation="auto",
                max_output_tokens=6,
            )
        assert request.prompt.text == "Be brief. q2 q2 q2 q2 q2 a2 now say"
        assert len(request.prompt.token_ids) == 10
        assert request.sampling.max_tokens == 6
        assert assembling.truncated == 2
        assert "2 of 3 turns" in caplog.text

    @pytest.mark.parametrize(("asked", "kept"), [(None, 1), (4, 3), (1000, 1)])
    async def test_leaves_room_for_the_answer(self, asked: int | None, kept: int) -> None:
        assembling = Assembling(window=20)  # 15, 16 or 10 tokens for what is shown; a step has 10
        request = await assembling.request(
            turns_of(5, 5, 5), input="x", truncation="auto", max_output_tokens=asked
        )
        assert len(request.prompt.token_ids) == 5 * kept + 1
        assert assembling.truncated == (None if kept == 3 else 3 - kept)

    async def test_keeps_a_conversation_that_fits(self) -> None:
        assembling = Assembling(window=100)
        request = await assembling.request(turns_of(5, 5), input="x", truncation="auto")
        assert len(request.prompt.token_ids) == 11
        assert assembling.truncated is None
        assert len(assembling.engine.messages) == 1

    async def test_keeps_a_call_and_its_output_together(self) -> None:
        call = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "[1]"}
        output = {"type": "function_call_output", "call_id": "c", "output": "one"}
        turns = [
            *turns_of(3),
            turn(asked=[message("user", "one two three")], answered=[call]),
            turn(asked=[output], answered=[message("assistant", "It is one.")]),
        ]
        assembling = Assembling(window=10)
        request = await assembling.request(turns, input="x", truncation="auto", max_output_tokens=4)
        assert request.prompt.text == "x"  # 5 words with the output, 9 with its call
        request = await assembling.request(
            turns[:2], input=[output], truncation="auto", max_output_tokens=4
        )
        assert request.prompt.text == "one two three add([1]) one"

    async def test_lets_instructions_and_input_use_the_share_of_the_answer(self) -> None:
        assembling = Assembling(window=20)
        request = await assembling.request(
            turns_of(5), input="word " * 18, instructions="Brief.", truncation="auto"
        )
        assert len(request.prompt.token_ids) == 19
        assert request.sampling.max_tokens == 1
        assert assembling.truncated == 1

    @given(
        words=st.lists(st.integers(2, 9), max_size=12),
        asked=st.integers(0, 12),
        wanted=st.none() | st.integers(1, 40),
        window=st.integers(1, 40),
    )
    def test_keeps_all_turns_or_the_newest_from_a_step_that_fits(
        self, words: list[int], asked: int, wanted: int | None, window: int
    ) -> None:
        assembling = Assembling(window=window)
        fields = {
            "input": "now " * asked,
            "previous_response_id": "resp_0",
            "truncation": "auto",
            "max_output_tokens": wanted,
        }
        share = max(1, window // 4 if wanted is None else min(wanted, window // 2))
        lengths = [sum(words[n:]) + asked for n in range(len(words) + 1)]
        fitting = [n for n, length in enumerate(lengths) if length <= window - share]
        making = assembling.request(turns_of(*words), **fields)
        if asked >= window:
            with pytest.raises(RequestError, match=f"{asked} tokens"):
                asyncio.run(making)
            return
        request = asyncio.run(making)
        dropped = int(assembling.truncated or 0)
        least = fitting[0] if fitting else len(words)
        assert least <= dropped <= len(words)
        assert bool(dropped) == bool(least)
        shown = [f"q{n}" for n, count in enumerate(words) for _ in range(count - 1) if n >= dropped]
        assert [w for w in request.prompt.text.split() if w.startswith("q")] == shown
        assert request.prompt.text.split()[len(shown) + len(words) - dropped :] == ["now"] * asked
        assert len(request.prompt.token_ids) + request.sampling.max_tokens <= window


class TestAssembleSteps:
    """`truncation: auto` keeps the beginning of prompts for the engine's prefix cache."""

    WINDOW = 1000

    async def grown(self, turns: int, *, words: int, **fields: Any) -> list[tuple[int, str]]:
        """Return the tokens and the text of the prompt of each turn of a growing conversation."""
        assembling = Assembling(window=self.WINDOW)
        history = turns_of(*[words] * turns)
        prompts = []
        for n in range(turns):
            request = await assembling.request(
                history[:n], input=f"next {n}", truncation="auto", **fields
            )
            prompts.append((len(request.prompt.token_ids), request.prompt.text))
        return prompts

    @pytest.mark.parametrize("asked", [None, 50, 500])
    async def test_keep_the_beginning_of_most_prompts(self, asked: int | None) -> None:
        prompts = await self.grown(40, words=60, max_output_tokens=asked)
        limit = self.WINDOW - (asked or self.WINDOW // 4)
        assert all(tokens <= limit for tokens, _ in prompts)
        begins = [text.split()[0] for _, text in prompts[1:]]
        cuts = [n for n in range(1, len(begins)) if begins[n] != begins[n - 1]]
        # 24 turns or more do not fit; one turn is 6 % of the window, and a step 25 %.
        assert 4 <= len(cuts) <= 9
        assert all(after - before >= 3 for before, after in itertools.pairwise(cuts))
        left = [prompts[n + 1][0] / limit for n in cuts]
        assert all((0.35 if asked == 500 else 0.5) <= share <= 0.85 for share in left)

    async def test_leave_out_the_same_turns_whatever_the_request_asks_for(self) -> None:
        """Instructions, input and the answer's share move the limit, but no step."""
        assembling = Assembling(window=self.WINDOW)
        history = turns_of(*[60] * 20)
        begins = set()
        for asked, text in [(None, "a"), (260, "a b c"), (240, "word " * 40)]:
            request = await assembling.request(
                history, input=text, truncation="auto", max_output_tokens=asked
            )
            begins.add(request.prompt.text.split()[0])
        assert len(begins) == 1


class TestAssembleRefused:
    @pytest.mark.parametrize("truncation", [None, "disabled"])
    async def test_leaves_out_no_turn_unless_truncation_is_set(
        self, truncation: str | None
    ) -> None:
        assembling = Assembling(window=20)
        request = await assembling.request(turns_of(9, 9), input="x", truncation=truncation)
        assert (len(request.prompt.token_ids), request.sampling.max_tokens) == (19, 1)
        with pytest.raises(RequestError) as refused:
            await assembling.request(turns_of(9, 9, 9), input="x", truncation=truncation)
        assert refused.value.code == "context_length_exceeded"
        assert "3 earlier turns have 28 tokens" in refused.value.message
        assert "window of 20 tokens" in refused.value.message
        assert "'truncation' to 'auto'" in refused.value.message
        assert assembling.truncated is None

    @pytest.mark.parametrize("truncation", ["auto", "disabled"])
    async def test_refuses_instructions_and_input_that_do_not_fit(self, truncation: str) -> None:
        assembling = Assembling(window=20)
        turns = turns_of(5) if truncation == "auto" else []
        with pytest.raises(RequestError) as refused:
            await assembling.request(turns, input="word " * 20, truncation=truncation)
        assert "instructions and input have 20 tokens" in refused.value.message
        assert "Shorten the input, or start" in refused.value.message
        assert assembling.truncated is None

    async def test_refuses_a_model_that_is_not_served(self) -> None:
        with pytest.raises(RefusedError, match="'other'"):
            await Assembling(window=20).request(model="other")

    async def test_refuses_messages_that_the_template_does_not_accept(self) -> None:
        class Refusing(ScriptedEngine):
            async def assemble(
                self,
                model: str,
                messages: Sequence[ChatMessage],
                *,
                tools: Sequence[ToolSpec] = (),
            ) -> Prompt:
                raise RefusedError("no system messages")

        assembling = Assembling(window=20)
        assembling.engine = Refusing()
        with pytest.raises(RefusedError, match="no system messages"):
            await assembling.request(turns_of(3), truncation="auto")


class TestAssembleRendering:
    async def test_renders_a_thousand_turns_only_a_few_times(self) -> None:
        assembling = Assembling(window=8192, most=8192)
        turns = turns_of(*[100] * 1000)
        request = await assembling.request(turns, input="x", truncation="auto")
        assert 6144 - 8192 * 3 // 8 < len(request.prompt.token_ids) <= 6144
        assert len(assembling.engine.messages) <= 6
