"""A template is a program that comes with weights: it sees its conversation, and ends."""

import pytest

from worker.engines import template_sandbox
from worker.engines.chat_template import ChatTemplate, TemplateFailedError

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}{{ ''.__class__.__subclasses__() }}",
        "{% for each in ().__class__.__base__.__subclasses__() %}{{ each }}{% endfor %}",
        "{{ messages.append(messages) }}",
        "{{ raise_exception('no') }}",
        "{{ messages[0].content + messages }}",
        "{{ missing.name }}",
        "{{ 2 ** 100000000 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * [0] }}",
        '{% set n = namespace(t="a") %}{% for i in range(60) %}{% set n.t = n.t*2 %}{% endfor %}',
        "{% for i in range(99999999999) %}{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    ],
    ids=[
        "class", "subclasses", "mutation", "raise", "types", "undefined", "power", "text", "list",
        "doubling", "range", "nested",
    ],
)  # fmt: skip
def test_templates_that_do_harm_or_never_end_fail(source: str) -> None:
    with pytest.raises(TemplateFailedError):
        ChatTemplate(source)(MESSAGES, None)


def test_templates_write_a_bounded_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    template = ChatTemplate("{% for i in range(10) %}{{ '12345' }}{% endfor %}")
    monkeypatch.setattr(template_sandbox, "MAX_CHARACTERS", 50)
    assert template(MESSAGES, None) == "12345" * 10
    monkeypatch.setattr(template_sandbox, "MAX_CHARACTERS", 49)
    with pytest.raises(TemplateFailedError):
        template(MESSAGES, None)


def test_templates_take_a_bounded_number_of_steps_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template = ChatTemplate("{% for each in messages %}{{ each.content }}{% endfor %}")
    monkeypatch.setattr(template_sandbox, "MAX_STEPS", 10)
    for _ in range(3):  # each rendering has steps of its own
        assert template(MESSAGES * 10, None) == "hi" * 10
    with pytest.raises(TemplateFailedError):
        template(MESSAGES * 11, None)


def test_templates_have_what_those_of_hugging_face_use() -> None:
    source = (
        "{%- for each in messages %}{% if not loop.first %}{% break %}{% endif %}"
        "{% generation %}{{ {'é': '<a>'} | tojson }}{% endgeneration %}{% endfor %}"
        "{{ bos_token }}{{ strftime_now('%Y') | length }}{{ '%s' % 'x' }}{{ [1, 2] | tojson(2) }}"
    )
    prompt = ChatTemplate(source, names={"bos_token": "<s>"})(MESSAGES * 2, None)
    assert prompt == '{"é": "<a>"}<s>4x[1, 2]'


def test_templates_that_are_no_program_are_refused() -> None:
    with pytest.raises(TemplateFailedError, match="cannot be read"):
        ChatTemplate("{% if %}")
