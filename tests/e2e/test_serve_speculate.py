"""Tokens checked ahead by the server: the same texts, in fewer steps."""

import json
import os

import pytest
from serve_kit import Server

CODE = """def area(width, height):
    if width < 0 or height < 0:
        raise ValueError("negative side")
    return width * height


def perimeter(width, height):
    if width < 0 or height < 0:
        raise ValueError("negative side")
    return 2 * (width + height)
"""
REPEAT = [{"role": "user", "content": "Repeat this file word by word:\n" + CODE}]


@pytest.fixture(scope="module")
def servers(hearth_bin):
    home = os.environ.get("HEARTH_TEST_HOME")
    if not home:
        pytest.skip("HEARTH_TEST_HOME names no store with smollm2:135m")
    plain = Server(hearth_bin, home, "--no-speculate", model="smollm2:135m")
    ahead = Server(hearth_bin, home, model="smollm2:135m")
    yield plain, ahead
    plain.stop()
    ahead.stop()


def figure(server, name):
    text = server.get("/metrics")[2].decode()
    return sum(float(x.rsplit(" ", 1)[1]) for x in text.splitlines() if x.startswith(name))


def test_texts_are_the_same(servers):
    plain, ahead = servers
    prompts = [CODE + CODE, "1 2 3 4 5 6 7 8 9 10 11 12", "Once upon a time", "a b a b a b a b a b",
               CODE.replace("width", "w")]
    for prompt in prompts:
        body = {"prompt": prompt, "max_tokens": 80, "temperature": 0}
        texts = [s.post("/v1/completions", body)[1]["choices"][0]["text"] for s in servers]
        assert texts[0] == texts[1] and texts[0]
        body.update(temperature=0.9, seed=7, logprobs=1)
        choices = [s.post("/v1/completions", body)[1]["choices"][0] for s in servers]
        assert choices[0] == choices[1]
    assert figure(plain, "hearth_drafted_tokens_total") == 0
    assert figure(ahead, "hearth_accepted_tokens_total") > 0


def test_a_prediction_is_drafted_from(servers):
    plain, ahead = servers
    body = {"messages": [{"role": "user", "content": "Tell a story about a fox."}],
            "max_tokens": 120, "temperature": 0}
    _, before = plain.post("/v1/chat/completions", body)
    text = before["choices"][0]["message"]["content"]
    assert "completion_tokens_details" not in before["usage"]
    for content in (text, [{"type": "text", "text": text[:100]}, {"type": "text", "text": text[100:]}]):
        status, answer = ahead.post("/v1/chat/completions",
                                    {**body, "prediction": {"type": "content", "content": content}})
        assert status == 200, answer
        assert answer["choices"] == before["choices"]
        details = answer["usage"]["completion_tokens_details"]
        assert details["accepted_prediction_tokens"] > 40
        assert details["rejected_prediction_tokens"] < 40
    _, wrong = ahead.post("/v1/chat/completions",
                          {**body, "prediction": {"type": "content", "content": CODE}})
    assert wrong["choices"] == before["choices"]
    assert ahead.post("/v1/chat/completions", {**body, "prediction": {"type": "content"}})[0] == 400
    assert ahead.post("/v1/chat/completions", {**body, "prediction": {"type": "x", "content": "y"}})[0] == 400


def test_a_grammar_holds_beside_drafts(servers):
    schema = {"type": "object", "properties": {"names": {"type": "array", "maxItems": 12, "items": {
        "type": "object", "properties": {"name": {"enum": ["width", "height"]}, "kind": {"const": "number"}},
        "required": ["name", "kind"], "additionalProperties": False}}},
        "required": ["names"], "additionalProperties": False}
    body = {"messages": REPEAT, "max_tokens": 200, "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    texts = [s.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"] for s in servers]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["names"]
