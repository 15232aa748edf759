"""Conversations, and Python's jinja2 set up as transformers does it: what chat templates are tested with.

The environment is that of transformers.utils.chat_template_utils (5.x): the names, options and the
replaced filter are its; see render_jinja_template there.
"""

import datetime
import json

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1767323045  # 2026-01-02 03:04:05 UTC


class Generation(jinja2.ext.Extension):
    """{% generation %} renders its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("render"), [], [], body).set_lineno(line)

    def render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def strftime_now(format):
    return datetime.datetime.fromtimestamp(NOW).strftime(format)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=strftime_now)
    return env


def call(name, arguments, id="call00001"):
    return {"type": "function", "id": id, "function": {"name": name, "arguments": arguments}}


USER = {"role": "user", "content": "What is 2 + 2? <b>\"Quote\" & 'more'</b>\n\tünïcödé 漢字 🙂"}
SYSTEM = {"role": "system", "content": "  You are terse.\nAlways.  "}
ANSWER = {"role": "assistant", "content": "It is 4.\n"}
ARGUMENTS = {"city": "Zürich", "days": 3, "nested": {"list": [1, 2.5, None, True, "x\"y"], "empty": {}},
             "small": 1e-7, "big": 1e22, "text": "line\nbreak\\ \x7f </s>"}
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city, with \"quotes\".\nTwo lines.",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "City's name"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "integer", "description": "How many", "minimum": 1},
        "when": {"type": ["string", "null"], "description": "Date"},
        "options": {"type": "object", "properties": {"deep": {"type": "array", "items": {"type": "number"}}}},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}},
    "return": {"type": "string"}}}
TIME = {"type": "function", "function": {
    "name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}}

CONVERSATIONS = {
    "empty": [],
    "user": [USER],
    "system": [SYSTEM, USER],
    "only system": [SYSTEM],
    "turns": [SYSTEM, USER, ANSWER, {"role": "user", "content": "And 3 + 3?"},
              {"role": "assistant", "content": "6"}, {"role": "user", "content": " Thanks. "}],
    "no system turns": [USER, ANSWER, {"role": "user", "content": "Go on"}],
    "ends with assistant": [USER, ANSWER],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]},
              {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
              {"role": "user", "content": [{"type": "text", "text": "Bye"}]}],
    "call": [USER, {"role": "assistant", "content": "", "tool_calls": [call("get_weather", ARGUMENTS)]},
             {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"temp\": 21}"},
             ANSWER, {"role": "user", "content": "More"}],
    "call without content": [USER, {"role": "assistant", "tool_calls": [call("get_weather", ARGUMENTS)]},
                             {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "21"}],
    "null content": [SYSTEM, USER, {"role": "assistant", "content": None, "tool_calls": [call("now", {})]},
                     {"role": "tool", "name": "now", "tool_call_id": "call00001", "content": "12:00"}],
    "text arguments": [USER, {"role": "assistant", "content": "Let me look.",
                              "tool_calls": [call("get_weather", json.dumps(ARGUMENTS))]},
                       {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "21"}],
    "two calls": [SYSTEM, USER,
                  {"role": "assistant", "content": "Both.", "tool_calls": [
                      call("get_weather", ARGUMENTS), call("now", {}, "call00002")]},
                  {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "21"},
                  {"role": "tool", "name": "now", "tool_call_id": "call00002", "content": "noon"},
                  {"role": "user", "content": "And?"}],
    "reasoning": [USER, {"role": "assistant", "content": "4", "reasoning_content": "Two and two.\nFour."},
                  {"role": "user", "content": "Sure?"},
                  {"role": "assistant", "content": "<think>\nCheck.\n</think>\n\nYes."},
                  {"role": "user", "content": "Good"}],
    "thinking call": [USER, {"role": "assistant", "content": "", "reasoning_content": "I need it.",
                             "thinking": "I need it.", "reasoning": "I need it.",
                             "tool_calls": [call("now", {"zone": "UTC"})]},
                      {"role": "tool", "name": "now", "tool_call_id": "call00001", "content": "noon"},
                      {"role": "assistant", "content": "Noon.", "reasoning_content": "Read it."}],
    "developer": [{"role": "developer", "content": "Be brief."}, USER],
    "system later": [USER, ANSWER, SYSTEM, USER],
    "two users": [USER, {"role": "user", "content": "again"}],
    "odd role": [{"role": "narrator", "content": "Once"}],
}


def variables():
    """(name, variables) of every conversation, with tools and without, and with further options."""
    tokens = {"bos_token": "<s>", "additional_special_tokens": ["<|sep|>", "<|role|>"], "eos_token": "</s>"}
    for name, messages in CONVERSATIONS.items():
        for tools in (None, [WEATHER, TIME]):
            base = {"messages": messages, "add_generation_prompt": True, **tokens}
            if tools:
                base["tools"] = tools
            label = name + (", tools" if tools else "")
            yield label, base
            yield label + ", None", {**base, "tools": tools, "documents": None}
            yield label + ", no prompt", {**base, "add_generation_prompt": False}
            yield label + ", no thinking", {**base, "enable_thinking": False, "thinking": False,
                                             "reasoning_effort": "low", "datetime": "today",
                                             "functions": json.dumps(tools)}
            yield label + ", thinking", {**base, "enable_thinking": True, "thinking": True,
                                          "reasoning_effort": "high", "builtin_tools": ["browser", "python"]}


def template_of(path):
    """The chat template of a GGUF file, or None. Reads its keys only; format: ggml's docs/gguf.md."""
    import mmap
    import struct

    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        if m[:4] != b"GGUF":
            return None

        def text(at):
            n = struct.unpack_from("<Q", m, at)[0]
            return m[at + 8:at + 8 + n], at + 8 + n

        at = 24
        for _ in range(struct.unpack_from("<Q", m, 16)[0]):
            key, at = text(at)
            kind = struct.unpack_from("<I", m, at)[0]
            at += 4
            if kind == 8:
                value, at = text(at)
                if key == b"tokenizer.chat_template":
                    return value.decode()
            elif kind == 9:
                element, count = struct.unpack_from("<IQ", m, at)
                at += 12
                if element == 8:
                    for _ in range(count):
                        _, at = text(at)
                else:
                    at += count * sizes[element]
            else:
                at += sizes[kind]
    return None
