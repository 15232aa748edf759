"""The requests that editors are documented, or were seen, to send: docs/editors has their settings."""

import json
import os

import pytest
from serve_kit import Server

SMALL = "smollm2:135m"
KEY = "a-key-of-the-test"
BEARER = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
TOOL = {"type": "function", "function": {"name": "read_file", "description": "Reads a file", "parameters": {
    "type": "object", "properties": {"path": {"type": "string", "maxLength": 20}}, "required": ["path"],
    "additionalProperties": False}}}


@pytest.fixture(scope="module")
def server(hearth_bin):
    home = os.environ.get("HEARTH_TEST_HOME")
    if not home:
        pytest.skip("HEARTH_TEST_HOME names no store with smollm2:135m")
    s = Server(hearth_bin, home, "--allow-host", "hearth.example.org", model=SMALL, env={"HEARTH_API_KEY": KEY})
    s.coder = next((name for name in ("0.5b", "1.5b")
                    if os.path.exists(f"{home}/manifests/qwen2.5-coder/{name}.json")), None)
    yield s
    s.stop()


def chat(**more):
    """As OpenAI clients of editors send it: all members that they are known to set."""
    return {"model": SMALL, "stream": True, "stream_options": {"include_usage": True}, "max_completion_tokens": 60,
            "temperature": 0, "stop": [], "tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False,
            "messages": [{"role": "system", "content": "You are a coding assistant."},
                         {"role": "user", "content": [{"type": "text", "text": "Say hello."}]}], **more}


def test_cursor(server):
    """Behind a tunnel: its own Host, the key as bearer; keys are checked by a list of models and a chat."""
    tunnel = {**BEARER, "Host": "hearth.example.org", "X-Forwarded-For": "192.0.2.1"}
    status, _, body = server.get("/v1/models", headers=tunnel)
    assert status == 200 and SMALL in [m["id"] for m in json.loads(body)["data"]]
    events = server.events("/v1/chat/completions", chat(user="me"), headers=tunnel)
    assert events[-1] == "[DONE]" and any(e["choices"][0]["delta"].get("content") for e in events[:-2])
    assert server.get("/v1/models", headers={**tunnel, "Authorization": "Bearer wrong"})[0] == 401
    assert server.get("/v1/models", headers={**tunnel, "Host": "evil.example.org"})[0] == 403


def test_zed_chats(server):
    events = server.events("/v1/chat/completions", chat(tool_choice="required"), headers=BEARER)
    calls = [c for e in events[:-1] for x in e["choices"] for c in x["delta"].get("tool_calls", [])]
    assert calls[0]["function"]["name"] == "read_file" and calls[0]["id"]
    assert set(json.loads("".join(c["function"]["arguments"] for c in calls))) == {"path"}
    assert events[-2]["usage"]["total_tokens"] > 0 and events[-2]["choices"] == []


def test_zed_finds_ollama_models(server):
    status, _, body = server.get("/api/tags", headers=BEARER)
    model = next(m for m in json.loads(body)["models"] if m["name"] == SMALL)
    assert status == 200 and model["details"]["family"]
    status, shown = server.post("/api/show", {"model": SMALL}, headers=BEARER)
    assert status == 200 and shown["capabilities"] and shown["model_info"]["llama.context_length"] == 8192


def coder_of(server):
    if not server.coder:
        pytest.skip("no qwen2.5-coder is installed")
    return f"qwen2.5-coder:{server.coder}"


def test_zed_completes(server):
    """The client writes the tokens around the hole itself."""
    prompt = "<|fim_prefix|>def add(a, b):\n    return <|fim_suffix|>\n\nprint(add(1, 2))\n<|fim_middle|>"
    ask = {"model": coder_of(server), "prompt": prompt, "raw": True, "stream": False,
           "options": {"num_predict": 16, "temperature": 0, "stop": ["<|endoftext|>", "<|file_sep|>", "\n"]}}
    status, answer = server.post("/api/generate", ask, headers=BEARER)
    assert status == 200 and "a + b" in answer["response"]
    ask = {"model": coder_of(server), "prompt": prompt, "max_tokens": 16, "temperature": 0, "stop": ["\n"]}
    status, answer = server.post("/v1/completions", ask, headers=BEARER)
    assert status == 200 and "a + b" in answer["choices"][0]["text"]


def test_continue_completes(server):
    """The llama.cpp provider of Continue sends the rendered hole to /completion."""
    ask = {"model": coder_of(server), "prompt": "<|fim_prefix|>def add(a, b):\n    return <|fim_suffix|>\n<|fim_middle|>",
           "n_predict": 16, "temperature": 0.01, "stream": True, "cache_prompt": True, "stop": ["\n", "<|endoftext|>"]}
    events = server.events("/completion", ask, headers=BEARER)
    assert "a + b" in "".join(e["content"] for e in events)


def test_llama_vim_completes(server):
    """llama.vim of 2026-01, as its autoload/llama.vim builds it; the time is for lines behind the first token."""
    ask = {"id_slot": 0, "input_prefix": "def add(a, b):\n", "input_suffix": "\n\nprint(add(1, 2))\n",
           "input_extra": [{"text": "def sub(a, b):\n    return a - b\n", "time": [1, 2], "filename": "sub.py"}],
           "prompt": "    return ", "n_predict": 16, "stop": [], "n_indent": 4, "top_k": 40, "top_p": 0.90,
           "samplers": ["top_k", "top_p", "infill"], "stream": False, "cache_prompt": True, "t_max_prompt_ms": 500,
           "t_max_predict_ms": 1, "seed": 1,
           "response_fields": ["content", "timings/prompt_n", "timings/predicted_n", "truncated", "tokens_cached"],
           "model": coder_of(server)}
    status, answer = server.post("/infill", ask, headers=BEARER)
    assert status == 200 and answer["content"].startswith("a + b"), answer
    assert "\n" not in answer["content"].rstrip("\n") and answer["timings/predicted_n"] > 1
    warm = {**ask, "prompt": "", "n_predict": 0, "t_max_predict_ms": 1, "response_fields": [""]}
    assert server.post("/infill", warm, headers=BEARER)[0] == 200
