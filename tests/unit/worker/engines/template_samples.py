"""Chat templates of several families of models, written for tests, with their control tokens.

Each shows tools, calls and outputs with the markers of its family, and has what makes the family
hard: arguments as text or as an object, ids of a certain form, one call a message, texts that
calls displace.
"""

from dataclasses import dataclass, field

from worker.engines.chat_template import ChatTemplate


@dataclass(frozen=True, kw_only=True)
class Family:
    """A template; `call` is what a call of f with {"a": "v"} looks like in its prompts."""

    source: str
    control: tuple[str, ...]
    call: str
    call_format: str | None
    reasoning_format: str | None = None
    opened: bool = False
    knows_tools: bool = True
    names: dict[str, str] = field(default_factory=dict)

    def template(self) -> ChatTemplate:
        return ChatTemplate(self.source, names=self.names)


_BAR = "\uff5c"

QWEN = Family(
    call_format="hermes",
    reasoning_format="think",
    control=("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<think>", "</think>"),
    call='<tool_call>\n{"name": "f", "arguments": {"a": "v"}}\n</tool_call>',
    source="""
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- '<tools>' }}
    {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
    {{- '\\n</tools><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'system' and not loop.first %}
        {{- raise_exception('the system message must be the first') }}
    {%- elif message.role == 'user' %}
        {{- '<|im_start|>user\\n' + content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1] %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' + content }}
        {%- for call in message.tool_calls or [] %}
            {%- if content or not loop.first %}{{- '\\n' }}{%- endif %}
            {%- set call = call.function %}
            {{- '<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + content + '\\n</tool_response>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
""",
)

LLAMA = Family(
    call_format="llama3",
    control=(
        "<|begin_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|python_tag|>",
    ),
    call='{"name": "f", "parameters": {"a": "v"}}',
    names={"bos_token": "<|begin_of_text|>"},
    source="""
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system = '' %}{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + system + '<|eot_id|>' }}
{%- for message in messages %}
    {%- if loop.first and tools %}
        {{- '<|start_header_id|>user<|end_header_id|>\\n\\nFunctions:\\n' }}
        {%- for tool in tools %}{{- tool | tojson(indent=4) + '\\n\\n' }}{%- endfor %}
        {{- message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}
            {{- raise_exception('one call at a time') }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
        {{- '{"name": "' + call.name + '", "parameters": ' + call.arguments | tojson + '}' }}
        {{- '<|eot_id|>' }}
    {%- elif message.role == 'tool' %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + message.content + '<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
        {{- message.content | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
)

MISTRAL = Family(
    call_format="mistral",
    reasoning_format="mistral",
    control=(
        "<s>",
        "</s>",
        "[INST]",
        "[/INST]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_CALLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
        "[THINK]",
        "[/THINK]",
    ),
    call='[TOOL_CALLS][{"name": "f", "arguments": {"a": "v"}, "id": "123456789"}]</s>',
    names={"bos_token": "<s>", "eos_token": "</s>"},
    source="""
{#- Reasoning stands between [THINK] and [/THINK]. -#}
{{- bos_token }}
{%- if tools %}{{- '[AVAILABLE_TOOLS]' + tools | tojson + '[/AVAILABLE_TOOLS]' }}{%- endif %}
{%- for message in messages %}
    {%- if message.tool_calls %}
        {%- if message.content %}{{- message.content }}{%- endif %}
        {{- '[TOOL_CALLS][' }}
        {%- for call in message.tool_calls %}
            {%- if call.id | length != 9 %}{{- raise_exception('ids have 9 letters') }}{%- endif %}
            {{- '{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson + ', "id": "' + call.id + '"}' }}
            {%- if not loop.last %}{{- ', ' }}{%- endif %}
        {%- endfor %}
        {{- ']' + eos_token }}
    {%- elif message.role == 'tool' %}
        {%- if message.tool_call_id | length != 9 %}{{- raise_exception('9 letters') }}{%- endif %}
        {{- '[TOOL_RESULTS]{"content": ' + message.content | string + ', "call_id": "' }}
        {{- message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- elif message.role == 'assistant' %}{{- ' ' + message.content + eos_token }}
    {%- else %}{{- '[INST] ' + message.content + '[/INST]' }}
    {%- endif %}
{%- endfor %}
""",
)

DEEPSEEK = Family(
    call_format="deepseek_v3",
    reasoning_format="think",
    opened=True,
    control=tuple(
        f"<{_BAR}{name}{_BAR}>"
        for name in (
            "User",
            "Assistant",
            "tool▁calls▁begin",
            "tool▁call▁begin",
            "tool▁sep",
            "tool▁call▁end",
            "tool▁calls▁end",
            "tool▁output▁begin",
            "end▁of▁sentence",
        )
    ),
    call=(
        f"<{_BAR}tool▁call▁begin{_BAR}>function<{_BAR}tool▁sep{_BAR}>f\n"
        '```json\n{"a": "v"}\n```'
        f"<{_BAR}tool▁call▁end{_BAR}>"
    ),
    source="""
{%- if tools %}{{- 'Tools:\\n' }}
    {%- for tool in tools %}{{- tool['function'] | tojson + '\\n' }}{%- endfor %}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}{{- '<|User|>' + message['content'] }}
    {%- elif message['role'] == 'system' %}{{- message['content'] }}
    {%- elif message['role'] == 'assistant' and message['content'] is none %}
        {{- '<|Assistant|><|tool▁calls▁begin|>' }}
        {%- for call in message['tool_calls'] %}
            {{- '<|tool▁call▁begin|>' + call['type'] + '<|tool▁sep|>' + call['function']['name'] }}
            {{- '\\n```json\\n' + call['function']['arguments'] + '\\n```<|tool▁call▁end|>' }}
        {%- endfor %}
        {{- '<|tool▁calls▁end|><|end▁of▁sentence|>' }}
    {%- elif message['role'] == 'assistant' %}
        {{- '<|Assistant|>' + message['content'] + '<|end▁of▁sentence|>' }}
    {%- elif message['role'] == 'tool' %}
        {{- '<|tool▁output▁begin|>' + message['content'] + '<|tool▁output▁end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|Assistant|><think>\\n' }}{%- endif %}
""".replace("<|", f"<{_BAR}").replace("|>", f"{_BAR}>"),
)

KIMI = Family(
    call_format="kimi_k2",
    control=(
        "<|im_user|>",
        "<|im_assistant|>",
        "<|im_system|>",
        "<|im_middle|>",
        "<|im_end|>",
        "<|tool_calls_section_begin|>",
        "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        "<|tool_calls_section_end|>",
    ),
    call=(
        '<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"a": "v"}<|tool_call_end|>'
    ),
    source="""
{%- if tools %}
    {{- '<|im_system|>tool_declare<|im_middle|>' + tools | tojson + '<|im_end|>' }}
{%- endif %}
{%- for message in messages %}
    {%- set content = message.get('content') %}
    {{- '<|im_' + (message.role if message.role != 'tool' else 'system') + '|>' }}
    {{- message.get('name') or message.role }}
    {{- '<|im_middle|>' }}
    {%- if message.role == 'tool' %}
        {{- '## Return of ' + message.tool_call_id + '\\n' }}
    {%- endif %}
    {%- if content is string %}{{- content }}{%- endif %}
    {%- if message.tool_calls %}
        {{- '<|tool_calls_section_begin|>' }}
        {%- for call in message.tool_calls %}
            {{- '<|tool_call_begin|>' + call.id + '<|tool_call_argument_begin|>' }}
            {%- set given = call.function.arguments %}
            {{- (given if given is string else given | tojson) + '<|tool_call_end|>' }}
        {%- endfor %}
        {{- '<|tool_calls_section_end|>' }}
    {%- endif %}
    {{- '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_assistant|>assistant<|im_middle|>' }}{%- endif %}
""",
)

GPT_OSS = Family(
    call_format="harmony",
    reasoning_format="harmony",
    control=("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|call|>", "<|return|>"),
    call=(
        '<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{"a": "v"}<|call|>'
    ),
    source="""
{#- The model thinks in <|channel|>analysis. -#}
{%- macro types(schema) %}
    {%- for name, each in schema.properties.items() %}
        {{- '// ' + (each.description or '') + '\\n' + name + ': ' + each.type + ',\\n' }}
    {%- endfor %}
{%- endmacro %}
{{- '<|start|>system<|message|>' + strftime_now('%Y-%m-%d')[:0] + '<|end|>' }}
{%- if tools %}
    {{- '<|start|>developer<|message|>namespace functions {\\n' }}
    {%- for tool in tools %}
        {%- set tool = tool.function %}
        {{- '// ' + tool.description + '\\ntype ' + tool.name + ' = (_: {\\n' }}
        {%- if tool.parameters and tool.parameters.properties %}
            {{- types(tool.parameters) }}
        {%- endif %}
        {{- '}) => any;\\n' }}
    {%- endfor %}
    {{- '}<|end|>' }}
{%- endif %}
{%- set last = namespace(name=none) %}
{%- for message in messages %}
    {%- if message.role == 'assistant' and message.tool_calls %}
        {%- if message.tool_calls | length > 1 %}{{- raise_exception('one call') }}{%- endif %}
        {%- if message.content %}
            {{- '<|start|>assistant<|channel|>analysis<|message|>' + message.content + '<|end|>' }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start|>assistant to=functions.' + call.name + '<|channel|>commentary json' }}
        {{- '<|message|>' + call.arguments | tojson + '<|call|>' }}
        {%- set last.name = call.name %}
    {%- elif message.role == 'tool' %}
        {{- '<|start|>functions.' + last.name + ' to=assistant<|channel|>commentary<|message|>' }}
        {{- message.content | tojson + '<|end|>' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}
    {%- else %}
        {{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}
""",
)

QWEN_CODER = Family(
    call_format="qwen3_coder",
    control=("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"),
    call="<tool_call>\n<function=f>\n<parameter=a>\nv\n</parameter>\n</function>\n</tool_call>",
    source="""
{%- if tools %}{{- '<|im_start|>system\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n<function>\\n<name>' + tool.function.name + '</name>' }}
        {{- '\\n<description>' + tool.function.description + '</description>' }}
        {%- for name, each in tool.function.parameters.properties | items %}
            {{- '\\n<parameter><name>' + name + '</name>' + each | tojson + '</parameter>' }}
        {%- endfor %}
        {{- '\\n</function>' }}
    {%- endfor %}
    {{- '\\n</tools><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content }}
        {{- '\\n</tool_response>' }}
    {%- else %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
    {%- endif %}
    {%- for call in message.tool_calls or [] %}
        {{- '\\n<tool_call>\\n<function=' + call.function.name + '>' }}
        {%- for name, value in call.function.arguments | items %}
            {{- '\\n<parameter=' + name + '>\\n' }}
            {{- (value if value is string else value | tojson) + '\\n</parameter>' }}
        {%- endfor %}
        {{- '\\n</function>\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
""",
)

GEMMA = Family(
    call_format="hermes",
    control=("<bos>", "<start_of_turn>", "<end_of_turn>"),
    call='<tool_call>\n{"name": "f", "arguments": {"a": "v"}}\n</tool_call>',
    knows_tools=False,
    names={"bos_token": "<bos>"},
    source="""
{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set prefix = messages[0].content + '\\n\\n' %}{%- set messages = messages[1:] %}
{%- else %}{%- set prefix = '' %}{%- endif %}
{%- for message in messages %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {%- set role = 'model' if message.role == 'assistant' else message.role %}
    {{- '<start_of_turn>' + role + '\\n' + (prefix if loop.first else '') }}
    {{- message.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}
""",
)

UNREAD = Family(
    call_format="hermes",
    control=("<|user|>", "<|assistant|>"),
    call='<tool_call>\n{"name": "f", "arguments": {"a": "v"}}\n</tool_call>',
    knows_tools=False,
    source="""
{%- if tools %}{{- tools | tojson }}{%- endif %}
{%- for message in messages %}
    {{- '<|' + message.role + '|>' + (message.content or '') }}
    {%- for call in message.tool_calls or [] %}
        {{- '<|call|>' + call.function.name + call.function.arguments | tojson }}
    {%- endfor %}
{%- endfor %}
{{- '<|assistant|>' }}
""",
)
"""A template that has tools, in a format that no parser reads."""

FAMILIES = {
    "qwen": QWEN,
    "llama": LLAMA,
    "mistral": MISTRAL,
    "deepseek": DEEPSEEK,
    "kimi": KIMI,
    "gpt-oss": GPT_OSS,
    "qwen-coder": QWEN_CODER,
    "gemma": GEMMA,
    "unread": UNREAD,
}
