"""The Python clients of OpenAI, Ollama and Anthropic against hearth serve, streaming and not."""

import asyncio
import json
import os
import re
import time

import pytest
from serve_kit import Server

openai = pytest.importorskip("openai")
ollama = pytest.importorskip("ollama")
anthropic = pytest.importorskip("anthropic")
pydantic = pytest.importorskip("pydantic")

MODEL = "smollm2:135m"
HI = [{"role": "user", "content": "Say hello."}]
CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"],
        "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": CITY}}
PICTURE = "data:image/png;base64,iVBORw0KGgo="


class Place(pydantic.BaseModel, extra="forbid"):
    city: str = pydantic.Field(max_length=12)
    people: int = pydantic.Field(ge=0, le=9)


def running(server):
    """Requests that the engine works at, as /metrics counts them."""
    text = server.get("/metrics")[2].decode()
    return sum(float(n) for n in re.findall(r"^hearth_requests_running(?:\{.*\})? (\S+)$", text, re.M))


def wait_until_idle(server, seconds=20):
    end = time.monotonic() + seconds
    while running(server):
        assert time.monotonic() < end, "a request still runs whose client has left"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(hearth_bin):
    home = os.environ.get("HEARTH_TEST_HOME")
    if not home:
        pytest.skip("HEARTH_TEST_HOME names no store with smollm2:135m")
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        del os.environ[name]
    s = Server(hearth_bin, home, "--max-tokens", "200", model=MODEL)
    yield s
    s.stop()


@pytest.fixture(scope="module")
def ai(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def llama(server):
    return ollama.Client(host=server.url)


@pytest.fixture(scope="module")
def claude(server):
    return anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0)


# ---- openai -------------------------------------------------------------------------------------


def test_openai_completions(ai):
    assert MODEL in [m.id for m in ai.models.list()]
    ask = dict(model=MODEL, prompt="1 2 3", max_tokens=6, temperature=0)
    whole = ai.completions.create(**ask)
    assert whole.choices[0].text == " 4 5 6" and whole.choices[0].finish_reason == "length"
    assert whole.usage.completion_tokens == 6
    parts = list(ai.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(p.choices[0].text for p in parts if p.choices) == " 4 5 6"
    assert parts[-1].usage.total_tokens == whole.usage.total_tokens


def test_openai_chats(ai):
    ask = dict(model=MODEL, messages=HI, max_tokens=12, temperature=0)
    whole = ai.chat.completions.create(**ask, logprobs=True, top_logprobs=2)
    message = whole.choices[0].message
    tokens = whole.choices[0].logprobs.content
    assert message.role == "assistant" and message.content
    assert "".join(t.token for t in tokens).startswith(message.content)
    assert all(t.top_logprobs[0].logprob == t.logprob for t in tokens)
    parts = list(ai.chat.completions.create(**ask, stream=True))
    assert "".join(p.choices[0].delta.content or "" for p in parts) == message.content
    assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_openai_json(ai):
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": CITY}}
    answer = ai.chat.completions.create(model=MODEL, messages=HI, response_format=form, max_tokens=80, seed=2)
    assert set(json.loads(answer.choices[0].message.content)) == {"city"}
    with pytest.raises(openai.BadRequestError):
        ai.chat.completions.create(model=MODEL, messages=HI, response_format={
            "type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}})


def test_openai_tools(ai):
    ask = dict(model=MODEL, messages=HI, tools=[TOOL], tool_choice="required", max_tokens=100, temperature=0)
    answer = ai.chat.completions.create(**ask)
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather" and set(json.loads(call.function.arguments)) == {"city"}
    assert answer.choices[0].finish_reason == "tool_calls" and not answer.choices[0].message.content
    arguments, name = "", None
    for part in ai.chat.completions.create(**ask, stream=True):
        for piece in part.choices[0].delta.tool_calls or []:
            name = piece.function.name or name
            arguments += piece.function.arguments or ""
    assert name == "get_weather" and arguments == call.function.arguments
    followed = HI + [{"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
                     {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    assert ai.chat.completions.create(model=MODEL, messages=followed, max_tokens=5).choices[0].message


def test_openai_parses_models(ai):
    """The SDK makes a strict JSON schema of a pydantic class, and an object of the answer."""
    ask = dict(model=MODEL, messages=HI, response_format=Place, max_tokens=100, seed=3)
    place = ai.chat.completions.parse(**ask).choices[0].message.parsed
    assert isinstance(place, Place) and 0 <= place.people <= 9
    with ai.chat.completions.stream(**ask) as stream:
        kinds = {event.type for event in stream}
        assert stream.get_final_completion().choices[0].message.parsed == place
    assert {"chunk", "content.delta", "content.done"} <= kinds
    tool = openai.pydantic_function_tool(Place, name="place")
    call = ai.chat.completions.parse(model=MODEL, messages=HI, tools=[tool], tool_choice="required",
                                     max_tokens=120, seed=3).choices[0].message.tool_calls[0]
    assert isinstance(call.function.parsed_arguments, Place)
    answer = ai.responses.parse(model=MODEL, input="Name a place.", text_format=Place, max_output_tokens=100)
    assert isinstance(answer.output_parsed, Place)


def test_openai_streams_tool_events(ai):
    ask = dict(model=MODEL, messages=HI, tools=[TOOL], tool_choice="required", max_tokens=100, temperature=0)
    with ai.chat.completions.stream(**ask) as stream:
        done = [e for e in stream if e.type == "tool_calls.function.arguments.done"]
    assert done[0].name == "get_weather" and set(json.loads(done[0].arguments)) == {"city"}
    tool = {"type": "function", "name": "get_weather", "parameters": CITY}
    with ai.responses.stream(model=MODEL, input="Hi", tools=[tool], tool_choice="required",
                             max_output_tokens=100) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.delta" in kinds and kinds[-1] == "response.completed"
    assert final.output[0].name == "get_weather"


def test_openai_several_choices_and_legacy_members(ai):
    several = ai.completions.create(model=MODEL, prompt=["1 2 3", "a b c"], n=2, max_tokens=4, echo=True, seed=1)
    assert [c.index for c in several.choices] == [0, 1, 2, 3]
    assert [c.text[:5] for c in several.choices] == ["1 2 3", "1 2 3", "a b c", "a b c"]
    legacy = ai.completions.create(model=MODEL, prompt="1 2 3", max_tokens=2, logprobs=2, temperature=0)
    assert len(legacy.choices[0].logprobs.tokens) == 2 and len(legacy.choices[0].logprobs.top_logprobs[0]) == 2
    chosen = ai.chat.completions.create(model=MODEL, messages=HI, n=2, max_tokens=4, stop=["\n"], user="me",
                                        metadata={"a": "b"}, store=False, parallel_tool_calls=True,
                                        service_tier="auto", reasoning_effort="low")
    assert len(chosen.choices) == 2


def test_openai_cancels(server):
    """A stream that is closed, and a call whose task is cancelled, end in the engine too."""
    async def leave():
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
        ask = dict(model=MODEL, messages=HI, max_tokens=200, temperature=0, extra_body={"ignore_eos": True})
        stream = await client.chat.completions.create(**ask, stream=True)
        async for part in stream:
            if part.choices[0].delta.content:
                break
        await stream.close()
        task = asyncio.create_task(client.chat.completions.create(**ask))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        together = await asyncio.gather(*(client.completions.create(
            model=MODEL, prompt="1 2 3", max_tokens=6, temperature=0) for _ in range(8)))
        assert {t.choices[0].text for t in together} == {" 4 5 6"}
        await client.close()

    asyncio.run(leave())
    wait_until_idle(server)


def test_pictures_are_refused_in_each_api(ai, llama, claude):
    look = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    with pytest.raises(openai.BadRequestError) as e:
        ai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": look}])
    assert e.value.type == "invalid_request_error" and "text" in e.value.message
    with pytest.raises(openai.BadRequestError):
        ai.responses.create(model=MODEL, input=[{"role": "user", "content": [
            {"type": "input_image", "image_url": PICTURE}]}])
    with pytest.raises(anthropic.BadRequestError) as e:
        claude.messages.create(model=MODEL, max_tokens=5, messages=[{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]}])
    assert e.value.body["error"]["type"] == "invalid_request_error" and "image" in e.value.body["error"]["message"]
    with pytest.raises(ollama.ResponseError) as e:
        llama.chat(model=MODEL, messages=[{"role": "user", "content": "x", "images": ["iVBORw0KGgo="]}])
    assert e.value.status_code == 400 and "image" in e.value.error


def test_openai_responses(ai):
    ask = dict(model=MODEL, input="Say hello.", instructions="Be short.", max_output_tokens=10, temperature=0)
    whole = ai.responses.create(**ask)
    assert whole.output_text
    text, kinds = "", []
    for event in ai.responses.create(**ask, stream=True):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert text == whole.output_text
    assert kinds[0] == "response.created" and kinds[-1] in ("response.completed", "response.incomplete")
    tool = {"type": "function", "name": "get_weather", "parameters": CITY}
    called = ai.responses.create(model=MODEL, input="Hi", tools=[tool], tool_choice="required", max_output_tokens=100)
    assert called.output[0].type == "function_call" and json.loads(called.output[0].arguments)["city"] is not None


def test_embeddings_in_three_apis(server, ai, llama):
    """The chat model's last hidden states: no good vectors, but the same ones in every form."""
    texts = ["one", "two words"]
    as_floats = ai.embeddings.create(model=MODEL, input=texts, encoding_format="float").data
    as_bytes = ai.embeddings.create(model=MODEL, input=texts).data  # the client asks for base64
    vectors = llama.embed(model=MODEL, input=texts).embeddings
    native = server.post("/embedding", {"content": texts})[1]
    for i in range(2):
        assert as_floats[i].index == i
        assert as_floats[i].embedding == pytest.approx(vectors[i], abs=1e-6)
        assert as_bytes[i].embedding == pytest.approx(vectors[i], abs=1e-6)
        assert native[i]["embedding"][0] == pytest.approx(vectors[i], abs=1e-6)
        assert sum(x * x for x in vectors[i]) == pytest.approx(1, abs=1e-4)
    assert vectors[0] != vectors[1]
    short = ai.embeddings.create(model=MODEL, input="one", dimensions=8, encoding_format="float").data[0].embedding
    assert len(short) == 8 and sum(x * x for x in short) == pytest.approx(1, abs=1e-4)
    status, error = server.post("/rerank", {"query": "a", "documents": ["b"]})
    assert status == 400 and error["error"]["message"]


def test_openai_errors(ai):
    with pytest.raises(openai.NotFoundError) as e:
        ai.chat.completions.create(model="nothing", messages=HI)
    assert e.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as e:
        ai.completions.create(model=MODEL, prompt="word " * 20000)
    assert e.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError):
        ai.chat.completions.create(model=MODEL, messages=[])


# ---- ollama -------------------------------------------------------------------------------------


def test_ollama_answers(llama):
    assert MODEL in [m.model for m in llama.list().models]
    options = {"num_predict": 6, "temperature": 0}
    whole = llama.generate(model="smollm2", prompt="1 2 3", raw=True, options=options)
    assert whole.response == " 4 5 6" and whole.done_reason == "length" and whole.eval_count == 6
    parts = list(llama.generate(model="smollm2", prompt="1 2 3", raw=True, options=options, stream=True))
    assert "".join(p.response for p in parts) == whole.response and parts[-1].done
    chat = llama.chat(model=MODEL, messages=HI, options=options)
    assert chat.message.content
    parts = list(llama.chat(model=MODEL, messages=HI, options=options, stream=True))
    assert "".join(p.message.content for p in parts) == chat.message.content
    formed = llama.chat(model=MODEL, messages=HI, format=CITY, options={"num_predict": 80, "seed": 2})
    assert set(json.loads(formed.message.content)) == {"city"}


def test_ollama_tools_and_schemas(llama):
    def get_weather(city: str) -> str:
        """Weather of a city.

        Args:
          city: The city
        """
        return city

    said = llama.chat(model=MODEL, messages=HI, tools=[get_weather], options={"num_predict": 5})
    assert said.message.content is not None
    followed = [*HI, {"role": "assistant", "content": "", "tool_calls": [
        {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}]},
        {"role": "tool", "tool_name": "get_weather", "content": "sunny"}]
    assert llama.chat(model=MODEL, messages=followed, options={"num_predict": 5}).message.content
    formed = llama.chat(model=MODEL, messages=HI, format=Place.model_json_schema(), options={"num_predict": 100, "seed": 3})
    assert Place.model_validate_json(formed.message.content)
    loose = llama.generate(model=MODEL, prompt="A place as JSON.", format="json", options={"num_predict": 60, "seed": 3})
    assert loose.response.lstrip()[0] in "{["


def test_ollama_async(server):
    async def talk():
        client = ollama.AsyncClient(host=server.url)
        text = ""
        async for part in await client.generate(model=MODEL, prompt="1 2 3", raw=True, stream=True,
                                                options={"num_predict": 6, "temperature": 0}):
            text += part.response
        async for _ in await client.chat(model=MODEL, messages=HI, stream=True, options={"num_predict": 200}):
            break
        return text

    assert asyncio.run(talk()) == " 4 5 6"
    wait_until_idle(server)


def test_ollama_models(llama):
    shown = llama.show(MODEL)
    assert shown.modelinfo["general.architecture"] == "llama" and "completion" in shown.capabilities
    llama.generate(model=MODEL, prompt="", keep_alive="1h")
    assert MODEL in [m.model for m in llama.ps().models]
    with pytest.raises(ollama.ResponseError) as e:
        llama.show("nothing")
    assert e.value.status_code == 404
    with pytest.raises(ollama.ResponseError) as e:
        llama.delete(MODEL)
    assert e.value.status_code == 403  # clients may not, unless the server was told so


def test_ollama_unloads(llama):
    llama.generate(model=MODEL, prompt="", keep_alive=0)
    for _ in range(50):
        if not llama.ps().models:
            break
        time.sleep(0.1)
    assert not llama.ps().models
    assert llama.generate(model=MODEL, prompt="a", raw=True, options={"num_predict": 1}).eval_count == 1


# ---- anthropic ----------------------------------------------------------------------------------


def test_anthropic_messages(claude):
    ask = dict(model=MODEL, max_tokens=10, messages=HI, system="Be short.", extra_body={"temperature": 0})
    whole = claude.messages.create(**ask)
    assert whole.content[0].type == "text" and whole.stop_reason in ("max_tokens", "end_turn")
    with claude.messages.stream(**ask) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text and final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens
    counted = claude.messages.count_tokens(model=MODEL, messages=HI, system="Be short.")
    assert counted.input_tokens == whole.usage.input_tokens


def test_anthropic_tools(claude):
    ask = dict(model=MODEL, max_tokens=100, messages=HI, tool_choice={"type": "any"},
               tools=[{"name": "get_weather", "description": "Weather", "input_schema": CITY}])
    answer = claude.messages.create(**ask)
    call = answer.content[0]
    assert call.type == "tool_use" and set(call.input) == {"city"} and answer.stop_reason == "tool_use"
    with claude.messages.stream(**ask) as stream:
        assert stream.get_final_message().content[0].name == "get_weather"
    followed = HI + [{"role": "assistant", "content": [call.model_dump(exclude_none=True)]},
                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}]
    assert claude.messages.create(model=MODEL, max_tokens=5, messages=followed).content


def test_anthropic_streams_tools(claude):
    ask = dict(model=MODEL, max_tokens=100, messages=HI, tool_choice={"type": "tool", "name": "get_weather"},
               tools=[{"name": "get_weather", "description": "Weather", "input_schema": CITY}])
    pieces, kinds = "", []
    for event in claude.messages.create(**ask, stream=True):
        kinds.append(event.type)
        if event.type == "content_block_delta":
            assert event.delta.type == "input_json_delta"
            pieces += event.delta.partial_json
    assert set(json.loads(pieces)) == {"city"}
    assert kinds[:2] == ["message_start", "content_block_start"] and kinds[-2:] == ["message_delta", "message_stop"]


def test_anthropic_async(server):
    async def talk():
        client = anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0)
        async with client.messages.stream(model=MODEL, max_tokens=200, messages=HI) as stream:
            async for text in stream.text_stream:
                return text

    assert asyncio.run(talk())
    wait_until_idle(server)


def test_anthropic_takes_blocks(claude):
    """What Claude Code and other agents send: system blocks with cache marks, metadata, stop sequences."""
    answer = claude.messages.create(
        model=MODEL, max_tokens=40, stop_sequences=["o"], metadata={"user_id": "me"}, extra_body={"temperature": 0},
        system=[{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "Say hello.",
                                                "cache_control": {"type": "ephemeral"}}]}])
    assert answer.stop_reason == "stop_sequence" and answer.stop_sequence == "o"


def test_anthropic_errors(claude):
    with pytest.raises(anthropic.NotFoundError) as e:
        claude.messages.create(model="nothing", max_tokens=5, messages=HI)
    assert e.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(model=MODEL, max_tokens=5, messages=[{"role": "robot", "content": "x"}])
