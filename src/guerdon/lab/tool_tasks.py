"""Requests that need one to three calls of the right tools: a small world for parallel tool calls."""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from guerdon.agents.tool import answer_calls, as_tools
from guerdon.core.checks import check_choice
from guerdon.core.messages import Message
from guerdon.core.registry import register
from guerdon.core.samples import Chat
from guerdon.lab.toy_tools import REQUESTS, TOOLS, City, Currency, Day, Word
from guerdon.lab.world import Task, World
from guerdon.verify.call_matching import Call, same_json
from guerdon.verify.tool_turns import STRICT, read_turn, structured_calls

Style: TypeAlias = Literal["messages", "tags"]

SYSTEM = "Serve each request with one call of the right tool."
MAX_CALLS = 3
TITLES = ("lunch", "yoga", "choir", "chess", "dentist", "the exam", "the party", "the meeting")


class ToolTasksCheck(NamedTuple):
    """What is right about a completion.

    `format`: it calls tools, and all its calls can be read · `calls`: they are exactly those that the task
    needs, in any order.
    """

    format: bool
    calls: bool

    @property
    def solved(self) -> bool:
        """Whether the calls are right."""
        return self.calls


@register("tool_tasks", kind="world", example="{world: tool_tasks, calls: 2, distractors: 4}")
class ToolTasks(World):
    """Everyday requests, each for one call of one of eight tools with one to three typed parameters.

    `calls`: requests in a task, 1 to 3, all for different tools · `tools`: how many of the eight are shown, 2,
    4, 6 or 8 · `distractors`: how many of those no task ever needs, at most half · `low`, `high`: the range of
    amounts of money. Tools come in pairs with the same parameters, such as `weather` and `air_quality`; the
    habit of a demonstration is to call the other one of the pair, and a distractor is always one half of a
    pair.

    `style="messages"`: the policy makes all calls in one turn as `tool_calls`, sees the results and repeats
    them. The reference is the list of calls. `style="tags"`: the tools are listed in the prompt, and the
    completion is one turn of text, `<think>…</think>` and a `<tool_call>` block with one JSON object
    `{"name": …, "parameters": {…}}` a line; nothing is executed. The reference is such a turn. Both are what
    the reward `toolrl` reads, and the turn of `solution` gets its maximum.

    Columns of a row: `prompt`, `reference`, `calls` (for `check`) and `answer`, the results that the solution
    repeats. Equal arguments and seeds give equal tasks.

    Raises `ValueError` where an argument is out of its range, or fewer tools than `calls` are needed.
    """

    def __init__(
        self,
        calls: int = 1,
        tools: int = len(TOOLS),
        distractors: int = 0,
        low: int = 2,
        high: int = 200,
        style: Style = "messages",
    ) -> None:
        if tools not in range(2, len(TOOLS) + 1, 2):
            raise ValueError(f"ToolTasks.tools: expected 2, 4, 6 or 8, got {tools}")
        if not 0 <= distractors <= tools // 2:
            raise ValueError(f"ToolTasks.distractors: expected 0 to {tools // 2}, got {distractors}")
        if not 1 <= calls <= min(MAX_CALLS, tools - distractors):
            raise ValueError(
                f"ToolTasks.calls: expected 1 to {min(MAX_CALLS, tools - distractors)} "
                f"with {tools} tools and {distractors} distractors, got {calls}"
            )
        if not 1 <= low < high <= 10_000:
            raise ValueError(f"ToolTasks: expected 1 <= low < high <= 10000, got low={low}, high={high}")
        check_choice(style, "ToolTasks.style", get_args(Style))
        self.calls, self.distractors, self.low, self.high, self.style = calls, distractors, low, high, style
        self.shown = TOOLS[:tools]
        self.needed = [tool for k, tool in enumerate(self.shown) if k % 2 == 0 or k >= 2 * distractors]
        self.warm_steps = 160 + 240 * (calls - 1)
        self._tools = as_tools(self.shown)
        self.tools = self.shown if style == "messages" else ()
        self._values: Mapping[str, Sequence[Any]] = {
            "city": get_args(City),
            "day": get_args(Day),
            "amount": range(low, high + 1),
            "source": get_args(Currency),
            "target": get_args(Currency),
            "title": TITLES,
            "hour": range(8, 21),
            "word": get_args(Word),
        }

    def draw(self, rng: random.Random) -> Task:
        asked, calls = list[str](), list[Call]()
        for tool in rng.sample(self.needed, self.calls):
            parameters = self._parameters(rng, tool)
            asked.append(rng.choice(REQUESTS[tool.__name__]).format(**parameters))
            calls.append({"name": tool.__name__, "parameters": parameters})
        listed = map(_signature, self.shown) if self.style == "tags" else ()
        solution = self._completion(calls)
        return Task(
            prompt=[
                {"role": "system", "content": "\n".join([SYSTEM, *listed])},
                {"role": "user", "content": " ".join(asked)},
            ],
            solution=solution,
            reference=solution[0]["content" if self.style == "tags" else "tool_calls"],
            extra={"calls": calls, "answer": _answer(calls)},
            tools=[tool.schema for tool in self._tools.values()],
        )

    def check(self, sample: Chat) -> ToolTasksCheck:
        """Whether the calls can be read, and whether they are those of `extra["calls"]`.

        With `messages` these are the calls of all turns. With `tags` they are those of the last turn, which
        must be thoughts and one block of calls and nothing else. Numbers are compared by value; a boolean or
        a text is never a number.
        """
        wanted = sample.extra["calls"]
        calls = _tagged_calls(sample.final) if self.style == "tags" else _structured_calls(sample)
        return ToolTasksCheck(bool(calls), _same_calls(wanted, calls))

    def demonstrate(self, task: Task, rng: random.Random, habit: float) -> list[Message]:
        """A dialogue that solves `task`, but each call goes to the other tool of its pair with probability `habit`."""
        calls = [
            {**call, "name": _TWINS[call["name"]]} if rng.random() < habit else call
            for call in task.extra["calls"]
        ]
        return [*task.prompt, *self._completion(calls)]

    def _parameters(self, rng: random.Random, tool: Callable[..., Any]) -> dict[str, Any]:
        """A value for each parameter, none of them twice: nobody changes euros to euros."""
        parameters = dict[str, Any]()
        for name in inspect.signature(tool).parameters:
            value = rng.choice(self._values[name])
            while value in parameters.values():
                value = rng.choice(self._values[name])
            parameters[name] = value
        return parameters

    def _completion(self, calls: Sequence[Call]) -> list[Message]:
        if self.style == "tags":
            return [{"role": "assistant", "content": _tagged(calls)}]
        asked = [
            {"type": "function", "function": {"name": call["name"], "arguments": call["parameters"]}}
            for call in calls
        ]
        turn = {"role": "assistant", "content": "", "tool_calls": asked}
        return [turn, *answer_calls(turn, self._tools), {"role": "assistant", "content": _answer(calls)}]


_BY_NAME = {tool.__name__: tool for tool in TOOLS}
_NAMES = tuple(_BY_NAME)
_TWINS = {name: _NAMES[k ^ 1] for k, name in enumerate(_NAMES)}


def _signature(tool: Callable[..., Any]) -> str:
    return f"{tool.__name__}({', '.join(inspect.signature(tool).parameters)})"


def _answer(calls: Sequence[Call]) -> str:
    return "; ".join(_BY_NAME[call["name"]](**call["parameters"]) for call in calls)


def _tagged(calls: Sequence[Call]) -> str:
    thought = f"I need {' and '.join(call['name'] for call in calls)}."
    lines = "\n".join(map(json.dumps, calls))
    return f"<think>{thought}</think>\n<tool_call>\n{lines}\n</tool_call>"


def _tagged_calls(text: str) -> list[Call]:
    """The calls of a turn of text; none where its layout is wrong or one of them can't be read."""
    turn = read_turn(text.strip())
    if not turn.formed or turn.block is None or turn.response:
        return []
    try:
        return STRICT.calls(turn.block)
    except STRICT.unreadable:
        return []


def _structured_calls(sample: Chat) -> list[Call]:
    """The calls of all turns; none where one of them can't be read."""
    try:
        return structured_calls(sample.tool_calls)
    except ValueError:
        return []


def _same_calls(wanted: Sequence[Call], given: Sequence[Call]) -> bool:
    """Whether both are the same calls in any order."""
    left = list(given)
    for call in wanted:
        match = next((i for i, other in enumerate(left) if same_json(call, other)), None)
        if match is None:
            return False
        del left[match]
    return not left
