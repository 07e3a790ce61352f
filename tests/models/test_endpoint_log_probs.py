"""Log-probabilities over HTTP, from a server on loopback that answers in vLLM's form with a real model's values."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.engine.http import EndpointError
from guerdon.models.endpoint_log_probs import EndpointLogProbs, SomeFailed, read_prompt_log_probs
from guerdon.models.implicit_reward import ImplicitReward
from guerdon.models.log_probs import CausalLogProbs
from guerdon.models.self_aligned import SelfAligned
from tests.judges.models import QUESTIONS, fitted_model, raw_model, solved
from tests.judges.server import Answer, Server, chat_server

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("httpx")

DIALOGUES = [Chat(dialogue[:1], dialogue[1:]) for dialogue in map(solved, QUESTIONS)]
SAMPLES = [*DIALOGUES, Chat("hi", "First.\n\nSecond \U0001f600 é."), Chat("hi", ""), Chat("hi", " \ud800\n")]


@pytest.fixture
def server() -> Iterator[Server]:
    with chat_server() as running:
        running.answer = scored
        yield running


def scored(request: dict[str, Any]) -> Answer:
    """What vLLM answers to `prompt_logprobs`: for each token the likeliest ones and the token itself."""
    model, tokenizer = raw_model()
    ids = request["prompt"]
    with torch.no_grad():
        scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    entries: list[Any] = [None]
    for row, token in zip(scores, ids[1:], strict=False):
        likeliest = row.topk(request["prompt_logprobs"]).indices.tolist()
        entries.append(
            {
                str(i): {
                    "logprob": float(row[i]),
                    "rank": int((row > row[i]).sum()) + 1,
                    "decoded_token": tokenizer.decode([i]),
                }
                for i in dict.fromkeys([token, *likeliest])
            }
        )
    choice = {"index": 0, "text": "x", "finish_reason": "length", "prompt_logprobs": entries}
    return Answer(json.dumps({"object": "text_completion", "choices": [choice]}).encode())


def source(server: Server, **options: Any) -> EndpointLogProbs:
    return EndpointLogProbs(server.url, "tiny", raw_model()[1], **{"backoff": 0.0, **options})


def test_values_and_tokens_are_those_of_the_model_itself(server: Server) -> None:
    local, remote = CausalLogProbs(*raw_model()), source(server, body={"priority": 1})
    for values, expected in zip(remote.log_probs(SAMPLES), local.log_probs(SAMPLES), strict=True):
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-4)
    for sample in SAMPLES:
        found, expected = remote.completion_tokens(sample), local.completion_tokens(sample)
        np.testing.assert_array_equal(found.spans, expected.spans)
        np.testing.assert_array_equal(found.written, expected.written)
    assert remote.log_probs([]) == []
    request = server.requests[0]
    assert request["path"] == "/v1/completions"
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("tiny", 1, 1.0)
    assert request["priority"] == 1
    assert len(server.requests) == len(SAMPLES)


def test_rewards_take_it_for_any_other_source(server: Server) -> None:
    local, remote = CausalLogProbs(*raw_model()), source(server)
    found, expected = SelfAligned(remote)(SAMPLES), SelfAligned(local)(SAMPLES)
    np.testing.assert_allclose(found.outcome, expected.outcome, atol=1e-3)
    trained = CausalLogProbs(*fitted_model())
    over_http = ImplicitReward(trained, remote, unit="token")(SAMPLES)
    here = ImplicitReward(trained, local, unit="token")(SAMPLES)
    np.testing.assert_allclose(over_http.dense.values, here.dense.values, atol=1e-4)


def test_a_sample_that_the_server_refuses_fails_alone(server: Server) -> None:
    local, remote = CausalLogProbs(*raw_model()), source(server)
    long = len(local._encode(Chat("hi", "word " * 30)).ids)
    server.answer = lambda request: (
        Answer(b"too long", 400) if len(request["prompt"]) >= long else scored(request)
    )
    samples = [SAMPLES[0], Chat("hi", "word " * 30), SAMPLES[1]]
    with pytest.raises(SomeFailed, match=r"sample 1, .*HTTP 400") as caught:
        remote.log_probs(samples)
    assert caught.value.status == 400
    for result, expected in zip(caught.value.results[::2], local.log_probs(samples[::2]), strict=True):
        np.testing.assert_allclose(result, expected, atol=1e-4)
    for reward in (SelfAligned(remote), ImplicitReward(local, remote, unit="response")):
        signal = reward(samples)
        assert signal.ok.tolist() == [True, False, True]
        assert "HTTP 400" in signal.reasons[1]


def test_requests_are_bounded_and_in_order(server: Server) -> None:
    samples = [Chat("hi", "word " * k) for k in range(1, 25)]
    found = source(server, concurrency=3).log_probs(samples)
    sizes = [values.size for values in CausalLogProbs(*raw_model()).log_probs(samples)]
    assert [values.size for values in found] == sizes
    assert 1 < server.most <= 3


def test_a_server_that_fails_twice_is_asked_again(server: Server) -> None:
    expected = source(server).log_probs(SAMPLES[:1])[0]
    seen = len(server.requests)
    troubles = [Answer(b"busy", 503), Answer(drop=True)]
    server.answer = lambda request: troubles.pop() if troubles else scored(request)
    np.testing.assert_array_equal(source(server).log_probs(SAMPLES[:1])[0], expected)
    assert len(server.requests) == seen + 3


def test_a_server_that_hangs_runs_out_of_time(server: Server) -> None:
    server.answer = lambda request: Answer(hang=True)
    with pytest.raises(EndpointError, match=r"no answer within 0.2 s \(after 2 tries\)"):
        source(server, timeout=0.2, retries=1).log_probs(SAMPLES[:1])
    assert len(server.requests) == 2


def test_an_error_names_the_sample_its_status_and_no_key(server: Server) -> None:
    refused = len(source(server)._encode(SAMPLES[4]).ids)
    server.answer = lambda request: (
        Answer(b"too long for sk-secret", 400) if len(request["prompt"]) == refused else scored(request)
    )
    asked = source(server, api_key="sk-secret")
    with pytest.raises(EndpointError, match=r"tiny: sample 1, prompt 'hi', .* HTTP 400: too long") as caught:
        asked.log_probs([SAMPLES[0], SAMPLES[4]])
    assert caught.value.status == 400
    assert "secret" not in str(caught.value) + repr(asked) + asked.fingerprint()
    signal = SelfAligned(asked)([SAMPLES[4]])
    assert signal.status.tolist() == [Status.FAILED]
    assert "HTTP 400" in signal.reasons[0]


def test_a_sample_longer_than_the_context_fails_alone(server: Server) -> None:
    remote = source(server)
    length = len(remote._encode(SAMPLES[0]).ids)
    assert source(server, context_length=length + 1).completion_tokens(SAMPLES[0])
    with pytest.raises(ValueError, match=f"the model takes {length - 1} tokens"):
        source(server, context_length=length).completion_tokens(SAMPLES[0])
    signal = SelfAligned(source(server, context_length=length + 1))([SAMPLES[0], Chat("hi", "word " * 300)])
    assert signal.status.tolist() == [Status.OK, Status.FAILED]


def body(entries: Any) -> bytes:
    return json.dumps({"choices": [{"prompt_logprobs": entries}]}).encode()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"<html>", "expected a completion, got '<html>'"),
        (b"", "expected a completion"),
        (b"null", "expected a completion"),
        (b'{"choices": []}', "expected a completion"),
        (b'{"choices": [null]}', "expected a completion"),
        (b"[" * 100_000, "expected a completion"),
        (
            b'{"choices": [{"text": "x"}]}',
            "prompt_logprobs: expected a list, got None; does the server have it",
        ),
        (body({"1": 2}), "prompt_logprobs: expected a list"),
        (body([None, {"8": {"logprob": -1.0}}]), "expected 3 entries, one a token, got 2; is the tokenizer"),
        (
            body([None, None, None]),
            r"prompt_logprobs\[1\]: expected a number of at most 0 for token 8, got None",
        ),
        (body([None, {"9": {"logprob": -1.0}}, {}]), r"prompt_logprobs\[1\]: .*for token 8, got \{'9'"),
        (body([None, {"8": {"logprob": None}}, {}]), r"prompt_logprobs\[1\]"),
        (body([None, {"8": {"logprob": "-1"}}, {}]), r"prompt_logprobs\[1\]"),
        (body([None, {"8": {"logprob": True}}, {}]), r"prompt_logprobs\[1\]"),
        (body([None, {"8": {"logprob": 0.5}}, {}]), r"prompt_logprobs\[1\]"),
        (body([None, {"8": {"logprob": float("nan")}}, {}]), r"prompt_logprobs\[1\]"),
        (body([None, {"8": -1.0}, {}]), r"prompt_logprobs\[1\]"),
    ],
)
def test_an_answer_of_another_shape_is_told(content: bytes, text: str) -> None:
    with pytest.raises(EndpointError, match=text) as caught:
        read_prompt_log_probs(content, [7, 8, 9], 1)
    assert len(str(caught.value)) < 2000


def test_only_the_completion_is_read_and_what_is_ruled_out_is_minus_infinity() -> None:
    entries = [None, None, {"9": {"logprob": -9999.0}}, {"5": {"logprob": -0.5}, "6": {"logprob": -0.1}}]
    assert read_prompt_log_probs(body(entries), [7, 8, 9, 5], 2).tolist() == [-np.inf, -0.5]


def test_it_travels_and_says_what_it_is(server: Server) -> None:
    remote = source(server)
    again = pickle.loads(pickle.dumps(remote))
    np.testing.assert_array_equal(again.log_probs(SAMPLES[:1])[0], remote.log_probs(SAMPLES[:1])[0])
    assert again.fingerprint() == remote.fingerprint()
    assert source(server, body={"x": 1}).fingerprint() != remote.fingerprint()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"base_url": "localhost:8000"}, "base_url: expected http"),
        ({"timeout": 0}, "timeout: expected"),
        ({"retries": -1}, "retries: expected"),
        ({"concurrency": 0}, "concurrency: expected"),
        ({"context_length": 1}, "context_length: expected"),
    ],
)
def test_options_are_checked(options: dict[str, Any], text: str) -> None:
    given = {"base_url": "http://h/v1", "model": "m", "tokenizer": raw_model()[1], **options}
    with pytest.raises(ValueError, match=text):
        EndpointLogProbs(**given)
