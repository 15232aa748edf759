"""litellm's providers, which speak three of the server's APIs."""

import json
import os

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no table of prices from the network
litellm = pytest.importorskip("litellm", reason="litellm is not installed: run make clients")
litellm.suppress_debug_info = True

HI = [{"role": "user", "content": "Say hello."}]
PROVIDERS = ("openai", "ollama", "ollama_chat", "anthropic", "llamafile", "hosted_vllm", "lm_studio")


def city():
    """Anew for each use: some providers change what they are given."""
    return {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"],
            "additionalProperties": False}


def tool():
    return {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": city()}}


@pytest.fixture
def ask(server, small_coder):
    def go(provider, model=None, **more):
        base = server.url + ("" if provider in ("ollama", "ollama_chat", "anthropic") else "/v1")
        return {"model": f"{provider}/{model or small_coder}", "messages": HI, "api_base": base, "api_key": "none",
                "max_tokens": 12, "temperature": 0, "num_retries": 0, "max_retries": 0, **more}

    return go


@pytest.mark.parametrize("provider", PROVIDERS)
def test_chats(ask, provider):
    whole = litellm.completion(**ask(provider))
    said = whole.choices[0].message.content
    assert said and whole.usage.completion_tokens > 0
    parts = litellm.completion(**ask(provider, stream=True))
    assert "".join(p.choices[0].delta.content or "" for p in parts) == said


@pytest.mark.parametrize("provider", PROVIDERS)
def test_schemas(ask, provider):
    form = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": city()}}
    said = litellm.completion(**ask(provider, response_format=form, max_tokens=60)).choices[0].message.content
    assert set(json.loads(said)) == {"city"}


@pytest.mark.parametrize("provider", [p for p in PROVIDERS if not p.startswith("ollama")])
def test_forced_tools(ask, provider):
    more = {"tools": [tool()], "tool_choice": "required", "max_tokens": 100}
    message = litellm.completion(**ask(provider, **more)).choices[0].message
    assert set(json.loads(message.tool_calls[0].function.arguments)) == {"city"}
    more["tools"] = [tool()]
    built = litellm.stream_chunk_builder(list(litellm.completion(**ask(provider, **more, stream=True))))
    assert built.choices[0].message.tool_calls[0].function.name == "get_weather"


@pytest.mark.parametrize("provider", ["openai", "ollama_chat", "anthropic"])
def test_tools_by_choice(ask, provider):
    """The model decides, and a Qwen2.5-Coder writes its call in a code fence."""
    more = {"tools": [tool()], "max_tokens": 100, "messages": [{"role": "user", "content": "Weather in Rome?"}]}
    message = litellm.completion(**ask(provider, **more)).choices[0].message
    assert message.tool_calls, message.content
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Rome"}


def test_errors(ask):
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**ask("openai", model="nothing"))
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**ask("anthropic", model="nothing"))
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(**ask("openai", messages=[{"role": "user", "content": "word " * 40000}]))


def test_embeddings(server, small):
    for provider, base in (("openai", server.url + "/v1"), ("ollama", server.url)):
        found = litellm.embedding(model=f"{provider}/{small}", input=["a", "b"], api_base=base, api_key="none")
        assert len(found.data) == 2
