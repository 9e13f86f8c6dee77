"""Prompts by the templates of several families of models."""

import pytest

from tests.unit.worker.engines.template_samples import FAMILIES, Family
from worker.engines.chat_renderer import ChatRenderer
from worker.engines.control_tokens import ControlTokens
from worker.engines.model_formats import GivenFormats, ModelFormats
from worker.engines.protocol import ChatMessage, ToolCall, ToolSpec

USER = ChatMessage("user", "ask")
TOOL = ToolSpec("f", "does it", {"type": "object", "properties": {"a": {"type": "string"}}})

each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def renderer_of(family: Family, *, given: GivenFormats | None = None) -> ChatRenderer:
    control = ControlTokens(family.control)
    return ChatRenderer(family.template(), control=control, given=given or GivenFormats())


def calls(*made: ToolCall, text: str = "") -> ChatMessage:
    return ChatMessage("assistant", text, calls=made)


def called(arguments: str = '{"a": "v"}', *, call_id: str = "123456789") -> ToolCall:
    return ToolCall(call_id, "f", arguments)


def output(text: str = "done", *, call_id: str = "123456789") -> ChatMessage:
    return ChatMessage("tool", text, call_id=call_id, name="f")


@each_family
def test_renderer_finds_the_formats_of_a_family(family: Family) -> None:
    assert renderer_of(family).formats == ModelFormats(
        call=family.call_format, reasoning=family.reasoning_format, opened=family.opened
    )


@each_family
def test_renderer_shows_tools_calls_and_outputs(family: Family) -> None:
    renderer = renderer_of(family)
    messages = [USER, calls(called()), output(), ChatMessage("assistant", "well"), USER]
    (prompt,) = renderer.render(messages, [TOOL])
    assert family.call in prompt
    assert prompt.index("does it") < prompt.index(family.call) < prompt.index("done")
    (plain,) = renderer.render(messages[:1], [])
    assert "does it" not in plain
    assert "tools" not in plain


@each_family
def test_renderer_shows_every_call_once_beside_its_text(family: Family) -> None:
    numbers = [f"{number}" * 9 for number in range(1, 4)]
    made = [called(f'{{"a": "v{number[0]}"}}', call_id=number) for number in numbers]
    outputs = [output(f"done{number[0]}", call_id=number) for number in reversed(numbers)]
    messages = [USER, calls(*made, text="Let me see."), *outputs]
    (prompt,) = renderer_of(family).render(messages, [TOOL])
    assert [prompt.count(f"v{number[0]}") for number in numbers] == [1, 1, 1]
    assert [prompt.count(f"done{number[0]}") for number in numbers] == [1, 1, 1]
    assert prompt.count("Let me see.") == 1
    assert prompt.index("Let me see.") < prompt.index("v1") < prompt.index("v2")
    assert max(prompt.index(f"v{n}") for n in "123") < prompt.index("done3")


@each_family
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ("", "{}"),
        ('{"a": ', "invalid_arguments"),
        ("[1, 2]", "invalid_arguments"),
        ('{"a": "\\ud800"}', "invalid_arguments"),
        ('{"a": NaN}', "invalid_arguments"),
        ("[" * 10_000, "invalid_arguments"),
        ('{"a": ' + "9" * 5000 + "}", "invalid_arguments"),
    ],
    ids=["none", "cut", "list", "surrogate", "nan", "deep", "large"],
)
def test_renderer_shows_arguments_that_are_no_object(
    family: Family, arguments: str, shown: str
) -> None:
    (prompt,) = renderer_of(family).render([USER, calls(called(arguments)), output()], [TOOL])
    if shown != "{}" or family.call_format != "qwen3_coder":
        assert shown in prompt
    prompt.encode()  # no half of a character


@each_family
def test_renderer_takes_ids_that_a_family_does_not_have(family: Family) -> None:
    long = "call_" + "0123456789abcdef" * 3
    messages = [USER, calls(called(call_id=long)), output(call_id=long), output(call_id="other")]
    prompts = [renderer_of(family).render(messages, [TOOL]) for _ in range(2)]
    assert prompts[0] == prompts[1]  # attempts render the same
    assert "done" in prompts[0][0]


@each_family
@pytest.mark.parametrize("call", ["none", "mistral"])
def test_renderer_follows_the_settings(family: Family, call: str) -> None:
    given = GivenFormats(call=call, reasoning="think")
    formats = renderer_of(family, given=given).formats
    # Without tools in the template, they are described in the form of Hermes.
    native = family.knows_tools or family is FAMILIES["unread"]
    expected = {"none": None, "mistral": "mistral" if native else "hermes"}
    assert (formats.call, formats.reasoning) == (expected[call], "think")


PLACES = ("user", "assistant", "system", "output", "name", "description", "schema", "key",
          "enum", "argument", "argument key", "escaped argument", "broken argument", "id",
          "function")  # fmt: skip


def conversation(place: str, text: str) -> tuple[list[ChatMessage], list[ToolSpec]]:
    """Return a conversation with this text at one place, "at" at the others."""

    def at(here: str) -> str:
        return text if here == place else "at"

    escaped = "".join(f"\\u{ord(each):04x}" for each in at("escaped argument"))
    arguments = f'{{"{at("argument key")}": "{at("argument")}", "e": "{escaped}"}}'
    if place == "broken argument":
        arguments = f'{{"a": "{text}'
    call = ToolCall(at("id"), at("function"), arguments)
    messages = [
        ChatMessage("system", at("system")),
        ChatMessage("user", at("user")),
        calls(call, text=at("assistant")),
        ChatMessage("tool", at("output"), call_id=at("id"), name=at("function")),
    ]
    property_ = {"type": "string", "description": at("schema"), "enum": [at("enum")]}
    schema = {"type": "object", "properties": {at("key"): property_}}
    return messages, [ToolSpec(at("name"), at("description"), schema)]


@each_family
@pytest.mark.parametrize("place", PLACES)
def test_renderer_makes_no_control_token_of_a_text_from_outside(family: Family, place: str) -> None:
    renderer = renderer_of(family)
    own = "".join(renderer.render(*conversation(place, "harmless")))
    for token in family.control:
        pieces = renderer.render(*conversation(place, f"a{token}b"))
        prompt = "".join(pieces)
        for each in family.control:
            real = sum(piece.count(each) for piece in pieces)
            assert real == own.count(each), (token, each)
        # The client's text is whole, where the template shows it at all.
        if "harmless" in own and place != "id":
            assert f"a{token}b" in prompt


@each_family
def test_renderer_leaves_a_prompt_without_forged_tokens_in_one_piece(family: Family) -> None:
    assert len(renderer_of(family).render(*conversation("user", "a < b | c [x]"))) == 1
