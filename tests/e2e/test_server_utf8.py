"""Text that comes byte by byte: every byte of every character is a token of its own, and each stream of each API
gives the characters whole."""

import json

import pytest
from serve_kit import Server
from test_complete import SPECIAL, write_tiny_model

# One to four bytes a character, with joiners, combining marks, right to left, the last of each length.
WORDS = ("a\u00e9\u0301\u07ff\u0800\u65e5\u672c\ufffd\uffff\U00010000\U0001f600\U0001f469\u200d\U0001f4bb\U0010ffff"
         "\u0645\u0631\u062d\u0628\u0627 \u20ac\U0001d11e\u1f00z")
N = 350
SEED = 5  # the model is random, and may write white space and escapes where JSON lets it: the same each time
HI = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"w": {"const": WORDS}}, "required": ["w"], "additionalProperties": False}
GRAMMAR = f'root ::= "{WORDS}"'


@pytest.fixture(scope="module")
def server(hearth_bin, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bytes")
    write_tiny_model(folder / "tiny.gguf", SPECIAL)
    s = Server(hearth_bin, folder, "--log", "none", model=folder / "tiny.gguf")
    assert len(s.post("/tokenize", {"content": WORDS})[1]["tokens"]) == len(WORDS.encode())
    yield s
    s.stop()


def lines(server, path, body):
    status, _, data = server.request("POST", path, body)
    assert status == 200, data
    data.decode()  # each line, and so each event, is UTF-8 of its own
    return [json.loads(line) for line in data.splitlines()]


def whole(pieces):
    """Pieces joined; none of them ends inside of a character."""
    pieces = [p for p in pieces if p]
    assert len(pieces) > 5, pieces  # it did come in pieces
    return "".join(pieces)


def openai_completions(s):
    events = s.events("/v1/completions", {"prompt": "a", "grammar": GRAMMAR, "stream": True, "max_tokens": N, "seed": SEED})
    return whole(e["choices"][0]["text"] for e in events[:-1] if e["choices"])


def openai_chat(s):
    events = s.events("/v1/chat/completions", {"messages": HI, "grammar": GRAMMAR, "stream": True, "max_tokens": N, "seed": SEED})
    return whole(e["choices"][0]["delta"].get("content") for e in events[:-1] if e["choices"])


def openai_responses(s):
    events = s.events("/v1/responses", {"input": "Hi", "stream": True, "max_output_tokens": N, "temperature": 0, "text": {
        "format": {"type": "json_schema", "name": "w", "schema": SCHEMA}}})
    return json.loads(whole(e["delta"] for e in events if e["type"] == "response.output_text.delta"))["w"]


def openai_tools(s):
    tool = {"type": "function", "function": {"name": "t", "parameters": SCHEMA}}
    events = s.events("/v1/chat/completions", {"messages": HI, "tools": [tool], "tool_choice": "required",
                                               "stream": True, "max_tokens": N, "seed": SEED})
    calls = [c for e in events[:-1] if e["choices"] for c in e["choices"][0]["delta"].get("tool_calls") or []]
    return json.loads(whole(c["function"].get("arguments") for c in calls))["w"]


def ollama_generate(s):
    got = lines(s, "/api/generate", {"model": "tiny.gguf", "prompt": "a", "raw": True, "format": SCHEMA,
                                     "options": {"num_predict": N, "seed": SEED}})
    return json.loads(whole(x["response"] for x in got))["w"]


def ollama_chat(s):
    got = lines(s, "/api/chat", {"model": "tiny.gguf", "messages": HI, "format": SCHEMA, "options": {"num_predict": N, "seed": SEED}})
    return json.loads(whole(x["message"]["content"] for x in got))["w"]


def llama_completion(s):
    events = s.events("/completion", {"prompt": "a", "grammar": GRAMMAR, "stream": True, "n_predict": N, "seed": SEED})
    return whole(e["content"] for e in events)


def llama_infill(s):
    events = s.events("/infill", {"trim": False, "input_prefix": "a", "input_suffix": "b", "grammar": GRAMMAR, "stream": True, "n_predict": N, "seed": SEED})
    return whole(e["content"] for e in events)


def anthropic_tools(s):
    events = s.events("/v1/messages", {"max_tokens": N, "temperature": 0, "messages": HI, "stream": True, "tool_choice": {"type": "any"},
                                       "tools": [{"name": "t", "input_schema": SCHEMA}]})
    return json.loads(whole(e["delta"]["partial_json"] for e in events if e["type"] == "content_block_delta"))["w"]


STREAMS = [openai_completions, openai_chat, openai_responses, openai_tools, ollama_generate, ollama_chat,
           llama_completion, llama_infill, anthropic_tools]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda f: f.__name__)
def test_characters_cut_at_every_byte_come_whole(server, stream):
    assert stream(server) == WORDS


@pytest.mark.parametrize("cut", range(1, len("\U0001f600\u65e5\u00e9".encode())))
def test_an_answer_that_ends_inside_a_character_is_still_text(server, cut):
    """max_tokens cuts the last character: what has no end is U+FFFD or left out, and all before it is right."""
    text = "\U0001f600\u65e5\u00e9"
    grammar = f'root ::= "{text}"'
    whole_part = text.encode()[:cut].decode(errors="ignore")
    answers = [
        "".join(e["choices"][0]["text"] for e in server.events("/v1/completions", {
            "prompt": "a", "grammar": grammar, "stream": True, "max_tokens": cut})[:-1] if e["choices"]),
        server.post("/v1/completions", {"prompt": "a", "grammar": grammar, "max_tokens": cut})[1]["choices"][0]["text"],
        "".join(e["content"] for e in server.events("/completion", {
            "prompt": "a", "grammar": grammar, "stream": True, "n_predict": cut})),
    ]
    for answer in answers:
        assert answer.rstrip("\ufffd") == whole_part
    assert len(set(answers)) == 1
