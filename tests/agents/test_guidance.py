"""Guided retries with recorded dialogues and real tests of programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.agents import tool
from guerdon.agents.guidance import add_guidance, attempt_with_guidance
from guerdon.core.function import reward
from guerdon.core.messages import Message, as_messages, message_text
from guerdon.core.preferences import outcome_pairs
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Signal, Status
from guerdon.engine.run import Engine
from guerdon.judges import ReplayChat, Reply
from guerdon.verify.code import CodeTests

TASK = "Write double(x)."
HINT = "Multiply by two."
TESTS = {"fail_to_pass": ["assert double(3) == 6"], "pass_to_pass": ["assert double(0) == 0"]}
WRONG = "```python\ndef double(x):\n    return x * x\n```"
RIGHT = "```python\ndef double(x):\n    return x * 2\n```"
ISSUE = Chat(TASK, "", reference=TESTS, group="double", extra={"repository": "toy"})


def recorded(*answers: tuple[str | list[Message], str]) -> ReplayChat:
    return ReplayChat([Chat(prompt, answer) for prompt, answer in answers])


MODEL = recorded((TASK, WRONG), (f"{HINT}\n\n{TASK}", RIGHT))


def hint(failed: Sequence[Chat], feedback: Sequence[str]) -> list[str | None]:
    return [HINT] * len(failed)


def nothing(failed: Sequence[Chat], feedback: Sequence[str]) -> list[str | None]:
    return [None] * len(failed)


def test_a_failure_passes_with_guidance_and_is_paired_without_it() -> None:
    asked = list[tuple[str, str]]()

    def teacher(failed: Sequence[Chat], feedback: Sequence[str]) -> list[str | None]:
        asked.extend((chat.text, note) for chat, note in zip(failed, feedback, strict=True))
        return [HINT]

    samples, signal = attempt_with_guidance(MODEL, [ISSUE], CodeTests(), teacher)
    assert [chat.text for chat in samples] == [WRONG, RIGHT]
    assert signal.outcome.tolist() == [0.0, 1.0]
    assert len(asked) == 1
    assert asked[0][0] == WRONG
    assert "test 1 of 2" in asked[0][1]
    assert [chat.prompt for chat in samples] == [TASK, TASK]
    assert [chat.extra["guidance"] for chat in samples] == [None, HINT]
    assert all(chat.extra["repository"] == "toy" and chat.reference == TESTS for chat in samples)
    (pair,) = outcome_pairs(samples, signal)
    assert (pair.chosen.text, pair.rejected.text) == (RIGHT, WRONG)
    assert HINT not in repr(pair.chosen.prompt_messages)


def test_a_success_is_not_retried() -> None:
    samples, signal = attempt_with_guidance(recorded((TASK, RIGHT)), [ISSUE], CodeTests(), hint)
    assert len(samples) == 1
    assert signal.outcome.tolist() == [1.0]


def test_attempts_come_first_and_retries_in_the_order_of_failures() -> None:
    model = recorded(
        *((TASK, answer) for answer in (WRONG, RIGHT, "none")), (f"{HINT}\n\n{TASK}", RIGHT), ("a", WRONG)
    )
    samples, signal = attempt_with_guidance(
        model, [ISSUE, Chat("a", "", TESTS)], CodeTests(), hint, attempts=3, concurrency=1
    )
    assert signal.outcome[:6].tolist() == [0, 1, 0, 0, 0, 0]
    assert [chat.prompt for chat in samples] == [TASK] * 3 + ["a"] * 3 + [TASK] * 2 + ["a"] * 3
    assert signal.outcome[6:8].tolist() == [1.0, 1.0]


def test_without_guidance_the_retry_is_a_plain_one() -> None:
    model = recorded((TASK, WRONG), (TASK, RIGHT))
    for guide in (nothing, lambda failed, feedback: [""]):
        samples, signal = attempt_with_guidance(model, [ISSUE], CodeTests(), guide)
        assert signal.outcome.tolist() == [0.0, 1.0]
        assert samples[1].extra["guidance"] is None


class Drawn:
    """A model that shows what it was asked and with which seed."""

    def __init__(self) -> None:
        self.seeds = list[int]()

    async def chat(
        self, messages: Sequence[Message], *, tools: Sequence[Mapping[str, Any]] = (), **sampling: Any
    ) -> Reply:
        self.seeds.append(sampling["seed"])
        return Reply({"role": "assistant", "content": message_text(messages[-1])})


@reward
def never(sample: Chat) -> float:
    return 0.0


def test_a_plain_retry_draws_anew_and_equal_seeds_draw_the_same() -> None:
    drawn = []
    for _ in range(2):
        model = Drawn()
        attempt_with_guidance(model, ["a", "b"], never, nothing, seed=5, concurrency=1)
        assert len(set(model.seeds)) == 4
        drawn.append(model.seeds)
    assert drawn[0] == drawn[1]


def test_tools_are_there_in_the_retry_too() -> None:
    @tool
    def look(at: str) -> str:
        """Look at something.

        Args:
            at: What.
        """
        return f"seen {at}"

    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
    turns = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "seen it"},
    ]
    model = ReplayChat(
        [
            Chat(TASK, [*turns, {"role": "assistant", "content": WRONG}]),
            Chat(f"{HINT}\n\n{TASK}", [*turns, {"role": "assistant", "content": RIGHT}]),
        ]
    )
    samples, signal = attempt_with_guidance(model, [ISSUE], CodeTests(), hint, iter([look]))
    assert signal.outcome.tolist() == [0.0, 1.0]
    assert [len(chat.completion) for chat in samples] == [3, 3]


def test_a_dialogue_without_a_reply_is_neither_scored_nor_retried() -> None:
    samples, signal = attempt_with_guidance(MODEL, [Chat("unknown", "", TESTS), ISSUE], CodeTests(), hint)
    assert signal.status.tolist() == [Status.ABSTAINED, Status.OK, Status.OK]
    assert signal.reasons[0].startswith("no reply: no recording has messages[0]")
    assert [chat.prompt for chat in samples] == ["unknown", TASK, TASK]


def test_what_the_reward_cannot_score_is_not_retried() -> None:
    @reward
    def unknown(sample: Chat) -> float:
        raise Abstain("nobody knows")

    samples, signal = attempt_with_guidance(MODEL, [ISSUE], unknown, hint)
    assert len(samples) == 1
    assert signal.reasons[0] == "nobody knows"
    assert outcome_pairs(samples, signal) == []


def test_an_engine_scores_as_the_reward_does() -> None:
    with Engine(CodeTests()) as engine:
        samples, signal = attempt_with_guidance(MODEL, [ISSUE], engine.score, hint)
    assert (len(samples), signal.outcome.tolist()) == (2, [0.0, 1.0])


def test_the_reward_never_sees_the_guidance() -> None:
    seen = list[Chat]()

    def score(samples: list[Chat]) -> Signal:
        seen.extend(samples)
        return CodeTests()(samples)

    attempt_with_guidance(MODEL, [ISSUE], score, hint)
    assert [chat.prompt for chat in seen] == [TASK, TASK]


def test_no_tasks() -> None:
    samples, signal = attempt_with_guidance(MODEL, [], CodeTests(), nothing)
    assert samples == []
    assert len(signal) == 0


def test_a_guide_that_leaves_one_out_is_refused() -> None:
    with pytest.raises(ValueError, match="guide: expected 1 entries, one a failed attempt, got 0"):
        attempt_with_guidance(MODEL, [ISSUE], CodeTests(), lambda failed, feedback: [])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": 1.5}, "attempts"),
        ({"passed": float("nan")}, "passed"),
        ({"concurrency": 0}, "concurrency"),
        ({"max_turns": 0}, "max_turns"),
        ({"seed": -1}, "seed"),
    ],
)
def test_arguments_are_checked_before_a_model_is_asked(options: dict[str, Any], text: str) -> None:
    model = Drawn()
    with pytest.raises((TypeError, ValueError), match=text):
        attempt_with_guidance(model, ["a"], never, nothing, **options)
    assert not model.seeds


def test_guidance_stands_before_the_task_and_behind_the_system_prompt() -> None:
    prompt = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u", "name": "n"},
        {"role": "assistant", "content": "a"},
    ]
    before = [dict(message) for message in prompt]
    assert add_guidance(prompt, "g") == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "g\n\nu", "name": "n"},
        {"role": "assistant", "content": "a"},
    ]
    assert prompt == before


def test_guidance_in_prompts_of_other_forms() -> None:
    image = {"type": "image_url", "image_url": {"url": "x"}}
    (parts,) = add_guidance([{"role": "user", "content": [image]}], "g")
    assert parts["content"] == [{"type": "text", "text": "g\n\n"}, image]
    assert add_guidance([{"role": "user", "content": None}], "g") == [{"role": "user", "content": "g\n\n"}]
    system: list[Message] = [{"role": "system", "content": "s"}]
    assert add_guidance(system, "g") == [*system, {"role": "user", "content": "g"}]


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text(min_size=1))
def test_guidance_keeps_the_task_to_its_last_character(prompt: str, guidance: str) -> None:
    (message,) = add_guidance(prompt, guidance)
    assert message_text(message) == f"{guidance}\n\n{prompt}"
    assert message["role"] == as_messages(prompt, "user")[0]["role"]
