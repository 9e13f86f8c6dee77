"""Seeded streams of an upstream: odd ones that mean a text, broken, unended and torn ones."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.unit.worker.engines.openai.transport_stub import End

_PIECES = (
    "Hello", " world", "é", "日本", "😀", "👩‍🚀", "\n", "\r\n", "data: x", ": y", '"', "\\u",
    "\u2028", "<b>", "[DONE]", "\x00", "", " ", "{}", "a" * 300,
)  # fmt: skip
_REASONS = (("stop", "stop"), ("eos_token", "stop"), ("length", "length"), ("max_tokens", "length"))
_USAGES: tuple[object, ...] = (
    {"prompt_tokens": 3, "completion_tokens": 2},
    {"prompt_tokens": "3", "completion_tokens": " 2 "},
    {"prompt_tokens": 3.0, "completion_tokens": 2.0, "prompt_tokens_details": "none"},
    {"prompt_tokens": None, "completion_tokens": -1},
    {"completion_tokens": float("nan")}, {"completion_tokens": [2]}, {"completion_tokens": True},
    "3 tokens", 5, [], None,
)  # fmt: skip
_NOISE: tuple[bytes, ...] = (
    b": ping", b":", b"event: message", b"id: 1", b"retry: 10", b"data:", b"data", b"data: ",
    b"x-trace: 1", b"message", b"<!-- -->", b"\xff", b"Data: 1",
)  # fmt: skip
_EXTRAS: tuple[dict[str, Any], ...] = (
    {}, {"id": "c"}, {"logprobs": float("nan")}, {"object": "chat.completion.chunk"},
    {"system_fingerprint": None}, {"error": None}, {"usage": None}, {"big": 10**30},
)  # fmt: skip
ENDS: tuple[End, ...] = ("framed", "closed", "cut")
_ENCODERS = (
    json.JSONEncoder().encode,
    json.JSONEncoder(ensure_ascii=False).encode,
    json.JSONEncoder(indent=1).encode,
)


@dataclass(frozen=True)
class Stream:
    """A stream, in the pieces in which its bytes arrive.

    `text` is what it means, or what its beginning means if it is `broken`; `reason` how it ends,
    and `end` how its body does.
    """

    kind: str
    pieces: Sequence[bytes]
    text: str
    reason: str | None
    broken: bool = False
    end: End = "framed"


def stream(random: Random) -> Stream:
    """Return one stream: of four of them one is odd, one broken, one unended, one torn."""
    made = _odd(random)
    match random.randrange(4):
        case 0:
            return made
        case 1:
            return _broken(random)
        case 2:
            return _unended(random)
    data = bytearray(b"".join(made.pieces))
    for _ in range(random.randint(1, 3)):
        _tear(random, data)
    return Stream("torn", _cut(random, bytes(data)), made.text, None, broken=True, end=made.end)


def _odd(random: Random) -> Stream:
    texts = [random.choice(_PIECES) for _ in range(random.randint(1, 6))] + ["end"]
    events = [event for text in texts for event in _events(random, text)]
    told, reason = random.choice(_REASONS)
    events += _end(random, told)
    if random.random() < 0.3:
        events += [_break(random)[1] for _ in range(random.randint(1, 3))]
    data = _framed(random, events, done=random.random() < 0.8)
    end = _body_end(random)
    if end == "cut":  # the reader never sees the end of an event that has no empty line behind it
        data += b"\n\n"
    return Stream("odd", _cut(random, data), "".join(texts), reason, end=end)


def _unended(random: Random) -> Stream:
    """Return a stream that ends without a reason and `[DONE]`, maybe inside an event."""
    texts = [random.choice(_PIECES) for _ in range(random.randint(0, 3))]
    data = _framed(random, [e for text in texts for e in _events(random, text)], done=False)
    end = _body_end(random)
    if end == "cut":
        data += b"\n\n"
    data += random.choice((b"", b"", b'\n\ndata: {"choices": [{"delta": ', b"\n\ndata: [DON"))
    return Stream("unended", _cut(random, data), "".join(texts), None, broken=True, end=end)


def _body_end(random: Random) -> End:
    return random.choices(ENDS, (4, 1, 1))[0]


def _events(random: Random, text: str) -> list[object]:
    """Return events that mean this text."""
    events: list[object] = [_event(random, {"content": piece}) for piece in _halves(random, text)]
    match random.randrange(8):
        case 0:
            events.insert(0, {"choices": [{"index": 1, "delta": {"content": "no"}}]})
        case 1:
            events.insert(0, _event(random, {"role": "assistant", "content": None}))
        case 2:
            events.append({"id": "c"})
        case 3:
            events.append({"choices": random.choice(([], None))})
        case 4:
            events.append({"choices": [{"delta": None}]})
        case 5:
            events.append({"choices": [], "usage": random.choice(_USAGES)})
        case 6:
            events.insert(0, _event(random, {"content": "", "reasoning_content": "hm"}))
    return events


def _event(random: Random, delta: dict[str, Any]) -> dict[str, Any]:
    if isinstance(content := delta.get("content"), str) and random.random() < 0.3:
        parts: list[object] = [{"type": "text", "text": content}]
        if random.random() < 0.5:
            parts.insert(0, {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]})
        delta = delta | {"content": parts if random.random() < 0.8 else [content]}
    choice = {"delta": delta} | random.choice(({}, {"index": 0}, {"index": None}))
    choices = [choice, {"index": 1, "delta": {"content": "no"}}]
    if random.random() < 0.2 and "index" in choice:
        return {"choices": choices if random.random() < 0.5 else choices[::-1]}
    return {"choices": [choice], **random.choice(_EXTRAS)}


def _halves(random: Random, text: str) -> list[str]:
    """Return the text in pieces, which may be cut inside a surrogate pair."""
    units = text.encode("utf-16-le")
    if len(units) < 4 or random.random() < 0.5:
        return [text]
    at = 2 * random.randrange(1, len(units) // 2)
    return [half.decode("utf-16-le", "surrogatepass") for half in (units[:at], units[at:])]


def _end(random: Random, told: str) -> list[object]:
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": told}]}
    usage: dict[str, Any] = {"usage": random.choice(_USAGES)}
    match random.randrange(4):
        case 0:
            return [last, {"choices": [], **usage}]
        case 1:
            return [{"choices": [], **usage}, last]
        case 2:
            return [last | usage]
    return [last]


def _framed(random: Random, events: Sequence[object], *, done: bool) -> bytes:
    newline = random.choice((b"\n", b"\r\n", b"\r"))
    lines: list[bytes] = []
    for event in events:
        if random.random() < 0.2:
            lines.append(random.choice(_NOISE))
        lines += [*_data_lines(random, event), b""]
    if done:
        lines += [b"data: [DONE]", b"", *random.choice(([], [b"<html>"], [b"data: {", b""]))]
    elif lines and random.random() < 0.3:
        lines.pop()  # no empty line behind the last event
    mark = b"\xef\xbb\xbf" if random.random() < 0.1 else b""
    return mark + newline.join(lines) + newline


def _data_lines(random: Random, event: object) -> list[bytes]:
    if isinstance(event, bytes):
        return [b"data: " + event]
    encode = random.choices(_ENCODERS, (7, 2, 1))[0]
    try:
        data = encode(event).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 cannot have
        data = _ENCODERS[0](event).encode()
    space = b"" if random.random() < 0.3 else b" "
    return [b"data:" + space + line for line in data.split(b"\n")]


def _cut(random: Random, data: bytes) -> list[bytes]:
    match random.randrange(8):
        case 0 | 1:
            return [data]
        case 2 if len(data) < 300:
            return [data[at : at + 1] for at in range(len(data))]
    places = sorted(random.randrange(len(data) + 1) for _ in range(random.randint(1, 6)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def _choice(value: object) -> object:
    return {"choices": [value]}


_NOT_TEXT: tuple[object, ...] = (5, True, 1.5, {"a": 1}, [[]], [{"type": "image_url"}], [5])
_BREAKS: dict[str, Callable[[Random], object]] = {
    "content": lambda r: _choice({"delta": {"content": r.choice(_NOT_TEXT)}}),
    "delta": lambda r: _choice({"delta": r.choice(("text", 5, [], True))}),
    "choice": lambda r: _choice(r.choice(("text", 5, [], None, True))),
    "choices": lambda r: {"choices": r.choice(("text", 5, {"0": {}}, True))},
    "finish_reason": lambda r: _choice({"finish_reason": r.choice((5, True, ["stop"], "weird"))}),
    "a JSON object": lambda r: r.choice((5, "text", [], [{"choices": []}], None, True)),
    "no JSON": lambda r: r.choice(
        (
            b"{",
            b'{"choices": [',
            b"nope",
            b"\xff\xfe",
            b'{"a": "\xed\xa0\xbd"}',
            b"[" * 3000,
            b"{}{}",
        )
    ),
    "1 MiB": lambda _: b" " * (1 << 20) + b"{}",
}
_BODIES = (
    b"<html><body>502 Bad Gateway</body></html>\n", b'{"choices": [{"message": {}}]}', b"OK\n",
    b"<!DOCTYPE html>\r\n<p>data: {}</p>",
)  # fmt: skip


def _broken(random: Random) -> Stream:
    if random.random() < 0.1:
        pieces = _cut(random, random.choice(_BODIES))
        end = random.choice(ENDS[:2])  # of a body that breaks nobody knows the rest
        return Stream("no stream of events", pieces, "", None, broken=True, end=end)
    kind, bad = _break(random)
    texts = [random.choice(_PIECES) for _ in range(random.randint(0, 3))]
    events = [event for text in texts for event in _events(random, text)]
    data = _framed(random, [*events, bad, *_end(random, "stop")], done=True)
    end = _body_end(random)
    return Stream(kind, _cut(random, data), "".join(texts), None, broken=True, end=end)


def _break(random: Random) -> tuple[str, object]:
    """Return an event that cannot be read, and what a failure says of it."""
    # A line of 1 MiB takes as long as a hundred other streams.
    names = [name for name in _BREAKS if name != "1 MiB" or random.random() < 0.02]
    kind = random.choice(names)
    return kind, _BREAKS[kind](random)


def _tear(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data)) if data else 0
    match random.randrange(5):
        case 0:
            data[at:] = b""
        case 1:
            data[at : at + 1] = bytes([random.randrange(256)])
        case 2:
            data[at:at] = random.choice((b"\n\n", b"\r", b"\x00", b"data: 1\n\n", b'"', b"\xf0"))
        case 3:
            data[at : at + random.randint(1, 30)] = b""
        case 4:
            data += data[at : at + 200]
