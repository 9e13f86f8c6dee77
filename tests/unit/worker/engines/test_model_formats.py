from typing import get_args

import pytest

from axon.engine_settings import EngineSettings
from axon.exceptions import SettingsError
from axon.models.settings import engine_settings
from axon.setting_types import CallFormatName, ReasoningFormatName
from tests.unit.worker.engines.template_samples import FAMILIES
from worker.engines.model_formats import NONE, GivenFormats, ModelFormats
from worker.engines.template_style import TemplateStyle
from worker.factories import engine_of
from worker.parsers.families import CALL_FORMATS


def test_settings_name_the_formats_that_parsers_read() -> None:
    assert set(get_args(CallFormatName)) == {*CALL_FORMATS, "harmony", NONE}
    read = {family.call_format for family in FAMILIES.values()}
    assert read | {"deepseek_v31"} == {*CALL_FORMATS, "harmony"}
    assert {"think", "mistral", "harmony", NONE} == set(get_args(ReasoningFormatName))


def test_settings_reach_the_engine() -> None:
    settings = EngineSettings.from_environ(
        {"AXON_CALL_FORMAT": "mistral", "AXON_REASONING_FORMAT": "think"}
    )
    (model,) = engine_of(settings).info().models
    assert (model.call_format, model.reasoning_format) == ("mistral", "think")
    (model,) = engine_of(EngineSettings()).info().models
    assert (model.call_format, model.reasoning_format) == ("hermes", None)


def test_settings_of_a_model_may_name_its_formats() -> None:
    settings = engine_settings("m", {"engine": "echo", "call_format": NONE})
    (model,) = engine_of(settings).info().models
    assert model.call_format is None
    with pytest.raises(SettingsError, match="call_format"):
        engine_settings("m", {"engine": "echo", "call_format": "xml"})


@pytest.mark.parametrize(
    ("example", "call"),
    [
        ("<\uff5ctool▁call▁begin\uff5c>f<\uff5ctool▁sep\uff5c>{}", "deepseek_v31"),
        ("<tool_call>f\n<arg_key>a</arg_key>", "hermes"),  # GLM's, which is not read
        ('<|tool_call|>[{"name": "f", "arguments": {}}]', "hermes"),  # Granite's
    ],
    ids=["deepseek_v31", "glm", "granite"],
)
def test_formats_that_no_parser_reads_are_replaced(example: str, call: str) -> None:
    style = TemplateStyle(tools=True, calls=None, example=example)
    assert ModelFormats.found(style, source="", given=GivenFormats()).call == call
