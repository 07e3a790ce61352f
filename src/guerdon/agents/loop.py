"""The agent loop: assistant turn, tool results, next turn, until an answer or a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import numpy as np

from guerdon.agents.tool import Tool, answer_calls, as_tools, spent
from guerdon.core.checks import check_choice, check_number
from guerdon.core.messages import Message, tool_calls_of
from guerdon.core.samples import Chat
from guerdon.engine.coroutines import run_to_end
from guerdon.judges.chat import ChatModel, ModelError, Sampling, Usage, check_sampling

if TYPE_CHECKING:
    from typing_extensions import Unpack

Task: TypeAlias = "str | Sequence[Message] | Chat"
OnError: TypeAlias = Literal["record", "raise"]
_MAX_TURNS = 8


class LoopOptions(Sampling, total=False):
    """How a dialogue goes: `Sampling` for each turn, and where it ends.

    `max_turns`: assistant turns, by default 8 · `max_tool_calls`: calls that are answered, by default any number ·
    `on_error`: `record`, the default, ends a dialogue whose model gives no reply and keeps the reason; `raise` raises
    the `ModelError`.
    """

    max_turns: int
    max_tool_calls: int | None
    on_error: OnError


async def converse(
    model: ChatModel,
    task: Task,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    **options: Unpack[LoopOptions],
) -> Chat:
    """One dialogue of a model with tools, see `run_agents`."""
    sampling = _check_options(options)
    sample, by_name = _as_sample(task), as_tools(tools)
    schemas = [tool.schema for tool in by_name.values()]
    most_calls = options.get("max_tool_calls")
    turns, usage, calls, error = list[Message](), Usage(0, 0), 0, None
    stopped = "max_turns"
    for number in range(options.get("max_turns", _MAX_TURNS)):
        dialogue = [*sample.prompt_messages, *turns]
        try:
            reply = await model.chat(dialogue, tools=schemas, **_with_seed(sampling, number))
        except ModelError as failure:
            if options.get("on_error") == "raise":
                raise
            stopped, error = "error", str(failure)
            break
        turns.append(reply.message)
        usage = usage + reply.usage if usage and reply.usage else None
        asked = len(tool_calls_of(reply.message))
        calls += asked
        if not asked:
            stopped = "length" if reply.finish_reason == "length" else "answer"
            break
        if most_calls is not None and calls > most_calls:
            stopped = "max_tool_calls"
            break
        turns += await asyncio.to_thread(answer_calls, reply.message, by_name)
    outcome = {
        "stopped": stopped,
        "error": error,
        "usage": asdict(usage) if usage else None,
        "cost": spent(turns),
    }
    return replace(sample, completion=turns or "", extra={**sample.extra, **outcome})


def run_agent(
    model: ChatModel,
    task: Task,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    **options: Unpack[LoopOptions],
) -> Chat:
    """`converse` from synchronous code, see `run_agents`."""
    return run_to_end(converse(model, task, tools, **options))


def run_agents(
    model: ChatModel,
    tasks: Sequence[Task],
    tools: Iterable[Tool | Callable[..., Any]] = (),
    *,
    concurrency: int = 64,
    **options: Unpack[LoopOptions],
) -> list[Chat]:
    """Let a model work on each task with tools; one sample a task, in order.

    An assistant turn that calls tools is followed by their results and the next turn. A task is text, messages, or
    a `Chat`, whose reference, group and extra columns the result keeps; its completion is replaced. A call that can't
    be answered has `error: …` as its result, and the dialogue goes on. `concurrency` dialogues are open at once;
    tools run in threads, so one that is shared must allow that.

    The completion has all turns and results. `extra` has

    - `stopped`: `answer`: a turn without calls; `length`: such a turn that was cut off; `max_turns`: the calls of the
      last turn are answered, but nothing follows; `max_tool_calls`: the last turn asks for more calls than are left,
      and none of them is answered; `error`: the model gave no reply;
    - `error`: why it gave none, else None. What was said until then is kept; where that is nothing, the completion is
      empty text;
    - `usage`: `prompt_tokens` and `completion_tokens`, summed over turns; None where one is unknown;
    - `cost`: of the answered calls, see `Tool`.

    A `seed` becomes another one for each task and turn, so that equal tasks differ and equal arguments give equal
    dialogues.

    Raises `ValueError` or `TypeError` for an option, a task or a tool that can't be, before any model is asked.
    """
    _check_options(options)
    check_number(concurrency, "concurrency", 1)
    shared = list(as_tools(tools).values())
    queue = iter(enumerate([_as_sample(task) for task in tasks]))
    played = dict[int, Chat]()

    async def drain() -> None:
        for i, sample in queue:
            played[i] = await converse(model, sample, shared, **_with_seed(options, i))

    async def run_all() -> None:
        await asyncio.gather(*(drain() for _ in range(min(concurrency, len(tasks)))))

    run_to_end(run_all())
    return [played[i] for i in range(len(tasks))]


def _check_options(options: LoopOptions) -> Sampling:
    """The part of the options that is for the model. Raises `TypeError` or `ValueError` where one can't be."""
    check_number(options.get("max_turns", _MAX_TURNS), "max_turns", 1)
    if (most := options.get("max_tool_calls")) is not None:
        check_number(most, "max_tool_calls", 0)
    check_choice(options.get("on_error", "record"), "on_error", get_args(OnError))
    own = LoopOptions.__annotations__.keys() - Sampling.__annotations__.keys()
    sampling = {name: value for name, value in options.items() if name not in own}
    check_sampling(sampling)
    return cast("Sampling", sampling)


def _with_seed(options: Any, number: int) -> Any:
    """The options with a seed of its own for the part of that number; none where there was none."""
    if "seed" not in options:
        return options
    return {**options, "seed": int(np.random.SeedSequence([options["seed"], number]).generate_state(1)[0])}


def _as_sample(task: Task) -> Chat:
    return task if isinstance(task, Chat) else Chat(task, "")
