"""Tool-integrated trajectories: text with fenced programs and their outputs, its last program and its final answer."""

from __future__ import annotations

import re

from guerdon.core.messages import message_text
from guerdon.core.samples import Chat
from guerdon.verify.boxed import closing_brace
from guerdon.verify.math_strings import normalize_answer

_OUTPUT = "```output"
_NUMBER = re.compile(r"-?\d*\.?\d+")


def trajectory_text(sample: Chat) -> str:
    """A completion as one trajectory: what the assistant wrote, with each tool result in an output fence.

    A text completion is one already and stays as it is.
    """
    if isinstance(sample.completion, str):
        return sample.completion
    return "\n".join(
        f"{_OUTPUT}\n{message_text(message)}\n```"
        if message["role"] in ("tool", "function")
        else message_text(message)
        for message in sample.completion
        if message["role"] in ("assistant", "tool", "function")
    )


def fenced_programs(text: str) -> list[str]:
    """The Python programs of a text in order, every line ended by a newline.

    A program starts behind a line that begins with "```python" and runs to the next line that begins with "```", or
    to the end.
    """
    programs, program = list[list[str]](), None
    for line in text.split("\n"):
        if line.startswith("```"):
            program = list[str]() if line.startswith("```python") else None
            if program is not None:
                programs.append(program)
        elif program is not None:
            program.append(f"{line}\n")
    return ["".join(program) for program in programs]


def last_program(text: str) -> str:
    """The last of `fenced_programs`; empty where there is none."""
    return next(reversed(fenced_programs(text)), "")


def last_output(text: str) -> str:
    """Content of the last output fence of a trajectory, stripped; empty where there is none.

    A fence that isn't closed runs to the end.
    """
    _, fence, tail = text.rpartition(_OUTPUT)
    return tail.partition("```")[0].strip() if fence else ""


def final_answer(text: str) -> str:
    r"""The answer that a tool-integrated trajectory ends with, normalised; empty where there is none.

    The first of these that the trajectory has decides: what the last `boxed` holds (up to the next `$` where no brace
    follows, to the end where its brace never closes); what follows the last "he answer is"; the last output that isn't
    blank; the last number. Of that the first line counts, without one colon at its start and one full stop and then one
    slash at its end, in the spelling of `normalize_answer`.

    Zhibin Gou et al., "ToRA: A Tool-Integrated Reasoning Agent for Mathematical Problem Solving", arXiv:2309.17452
    (microsoft/ToRA).
    """
    line = _raw_answer(text).partition("\n")[0]
    return normalize_answer(line.removeprefix(":").removesuffix(".").removesuffix("/"))


def _raw_answer(text: str) -> str:
    _, boxed, tail = text.rpartition("boxed")
    if boxed:
        return tail[1 : closing_brace(tail, 0)] if tail.startswith("{") else tail.partition("$")[0].strip()
    _, marker, tail = text.rpartition("he answer is")
    if marker:
        return tail.strip()
    output = last_output(text)
    return output or next(reversed(_NUMBER.findall(text.replace(",", ""))), "")
