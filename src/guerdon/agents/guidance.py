"""Guided retries: who fails tries again with help, and the help is left out of what is learned from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from guerdon.agents.loop import LoopOptions, Task, run_agents
from guerdon.agents.tool import Tool
from guerdon.core.checks import check_count, check_number
from guerdon.core.messages import Message, as_messages
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal
from guerdon.judges.chat import ChatModel

if TYPE_CHECKING:
    from typing_extensions import Unpack

Guide: TypeAlias = Callable[[Sequence[Chat], Sequence[str]], Sequence[str | None]]
"""`guide(failed, feedback)`: help for each failed attempt, from its note in the Signal; None where there is none."""


def attempt_with_guidance(
    model: ChatModel,
    tasks: Sequence[Task],
    score: Callable[[list[Chat]], Signal],
    guide: Guide,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    *,
    attempts: int = 1,
    passed: float = 1.0,
    concurrency: int = 64,
    **options: Unpack[LoopOptions],
) -> tuple[list[Chat], Signal]:
    """Attempt each task, and retry what fails with guidance in the prompt, which the samples don't keep.

        τ  ~ π(· | x)                              `attempts` times a task
        τ' ~ π(· | add_guidance(x, g(x, τ, e)))    where outcome(τ) < passed; e is the note of τ in the Signal

    Returns all τ, `attempts` to each task in order, then all τ' in the order of the failures, and their Signal. The
    prompt of every sample is x, also that of τ': `outcome_pairs(samples, signal)` makes the preferences that teach
    a policy to succeed without help. `extra["guidance"]` is what τ' was helped with, None for τ and for a retry
    without help. Everything else is as `run_agents` leaves it.

    Args:
        score: a reward, or the `score` of an `Engine`. It sees x, never the guidance.
        guide: gives a text for each failed attempt. None or empty text makes its retry a plain one. It must
            not give the solution away: the policy would learn to repeat what it can't find.
        passed: least outcome of a success.
        options: of the dialogues, as in `run_agents`. A retry has another `seed` than its first attempt.

    A dialogue that ended because the model gave no reply isn't scored: it abstains with that reason. What the
    reward couldn't score is neither a success nor a failure, and isn't retried.

    Raises `ValueError` or `TypeError` for an option, a task or a tool that can't be, before any model is asked, and
    `ValueError` where `guide` doesn't give one entry a failed attempt.

    Jeff Da et al., "Agent-RLVR: Training Software Engineering Agents via Guidance and Environment Rewards",
    arXiv 2506.11425.
    """
    check_count(attempts, "attempts")
    check_number(passed, "passed")
    shared = list(tools)
    repeated = [task for task in tasks for _ in range(attempts)]
    first = run_agents(model, repeated, shared, concurrency=concurrency, **options)
    signal = _scored(first, score)
    rows: list[int] = np.flatnonzero(signal.outcome < passed).tolist()
    failed = [first[i] for i in rows]
    guidance = guide(failed, [signal.notes.get(i, "") for i in rows])
    if len(guidance) != len(failed):
        raise ValueError(f"guide: expected {len(failed)} entries, one a failed attempt, got {len(guidance)}")
    if "seed" in options:
        options["seed"] = int(np.random.SeedSequence(options["seed"]).generate_state(1)[0])
    helped = [
        replace(chat, prompt=add_guidance(chat.prompt, text)) if text else chat
        for chat, text in zip(failed, guidance, strict=True)
    ]
    retries = run_agents(model, helped, shared, concurrency=concurrency, **options)
    plain = [
        replace(retry, prompt=chat.prompt, extra={**retry.extra, "guidance": text or None})
        for chat, retry, text in zip(failed, retries, guidance, strict=True)
    ]
    unguided = [replace(chat, extra={**chat.extra, "guidance": None}) for chat in first]
    return [*unguided, *plain], Signal.concat([signal, _scored(plain, score)])


def add_guidance(prompt: str | Sequence[Message], guidance: str) -> list[Message]:
    """The prompt as messages, with `guidance` and an empty line before the text of its last user message.

    A prompt without a user message gets one at its end. The given one stays as it is.
    """
    messages = list(as_messages(prompt, "user"))
    place = next((i for i in reversed(range(len(messages))) if messages[i]["role"] == "user"), None)
    if place is None:
        return [*messages, {"role": "user", "content": guidance}]
    content = messages[place].get("content") or ""
    block = f"{guidance}\n\n"
    joined = block + content if isinstance(content, str) else [{"type": "text", "text": block}, *content]
    messages[place] = {**messages[place], "content": joined}
    return messages


def _scored(samples: list[Chat], score: Callable[[list[Chat]], Signal]) -> Signal:
    """The Signal of the dialogues that the model took part in to their end; others abstain."""
    errors = {i: f"no reply: {s.extra['error']}" for i, s in enumerate(samples) if s.extra["error"]}
    whole = [i for i in range(len(samples)) if i not in errors]
    signal = score([samples[i] for i in whole])
    back = np.full(len(samples), -1, dtype=np.int64)
    back[whole] = np.arange(len(whole))
    spread = signal.take(back)
    return spread.replace(reasons={**spread.reasons, **errors})
