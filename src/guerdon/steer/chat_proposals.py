"""Next steps of solutions from any model that answers chats, asked for one step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from guerdon.core.checks import check_count, check_number
from guerdon.core.messages import Message, as_messages, message_text
from guerdon.engine.coroutines import run_to_end
from guerdon.judges.chat import ChatModel, ModelError
from guerdon.steer.proposals import Proposal, Propose, Steps

END = "<end>"
"""What a model writes behind the step that completes a solution."""

AskStep: TypeAlias = Callable[[Sequence[Message], Steps], Sequence[Message]]


def ask_step(prompt: Sequence[Message], steps: Steps) -> list[Message]:
    """The problem, and a last user message with the numbered steps so far that asks for exactly one more."""
    numbered = "\n".join(f"Step {number}: {step}" for number, step in enumerate(steps, start=1))
    so_far = f"The solution so far:\n{numbered}" if steps else "There are no steps of a solution yet."
    question = (
        f"{so_far}\n\nWrite step {len(steps) + 1} and nothing else, without its number. "
        f"If it gives the final answer, write {END} behind it."
    )
    return [*prompt, {"role": "user", "content": question}]


def chat_proposals(
    model: ChatModel,
    prompt: str | Sequence[Message],
    *,
    temperature: float = 1.0,
    max_tokens: int = 256,
    concurrency: int = 64,
    ask: AskStep = ask_step,
) -> Propose:
    """A policy for searches from a model behind the chat protocol.

    Not every such model can go on with a turn that somebody else began, so the steps so far are in the question: each
    proposal is one reply to `ask(prompt, steps)`. Its text up to `<end>`, without white space around it, is the step,
    and it is `finished` where `<end>` is there or the reply is empty. `tokens` are those of the reply.

    All prefixes, each `width` times, are asked at once, `concurrency` of them in flight. A `LocalChat` generates what
    is in flight together, so let `concurrency` be at least its `batch_size`. Seeds of replies are drawn from `rng`:
    where a model keeps to its seeds, equal arguments give equal steps.

    Args:
        model: what is asked.
        prompt: the problem.
        temperature, max_tokens: of each reply.
        concurrency: requests in flight.
        ask: makes the dialogue that asks for a step; it should ask for `<end>`.

    Raises:
        ValueError: for an option out of range; when called, `ModelError` of the model, and where it doesn't say how many
            tokens it wrote, since they couldn't be counted.
    """
    check_number(temperature, "temperature", low=0.0)
    check_count(max_tokens, "max_tokens")
    check_count(concurrency, "concurrency")
    problem = as_messages(prompt, "user")

    async def one(steps: Steps, seed: int, free: asyncio.Semaphore) -> Proposal:
        async with free:
            reply = await model.chat(
                ask(problem, steps), temperature=temperature, max_tokens=max_tokens, seed=seed
            )
        if reply.usage is None:
            raise ModelError(f"{model!r} doesn't say how many tokens it wrote")
        text, end, _ = message_text(reply.message).partition(END)
        step = text.strip()
        return Proposal(step, reply.usage.completion_tokens, bool(end) or not step)

    async def every(asked: Sequence[Steps], seeds: Sequence[int]) -> list[Proposal]:
        free = asyncio.Semaphore(concurrency)
        return await asyncio.gather(
            *(one(steps, seed, free) for steps, seed in zip(asked, seeds, strict=True))
        )

    def propose(prefixes: Sequence[Steps], width: int, rng: np.random.Generator) -> list[list[Proposal]]:
        asked = [steps for steps in prefixes for _ in range(width)]
        seeds = rng.integers(1 << 63, size=len(asked)).tolist()
        found = run_to_end(every(asked, seeds))
        return [found[start : start + width] for start in range(0, len(found), width)]

    return propose
