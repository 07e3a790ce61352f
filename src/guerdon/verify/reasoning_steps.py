"""Reasoning written as named steps, each of which reasons or uses a tool."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain

StepType: TypeAlias = Literal["normal", "tool"]
Mode: TypeAlias = Literal["strict", "code"]

_MODES = get_args(Mode)
_STEP = "- Step"
_FINAL = "### Final Response"


class ReasoningStep(NamedTuple):
    """A step: its name, the tool that it uses or None, and its text."""

    name: str
    tool: str | None
    body: str

    @property
    def type(self) -> StepType:
        """Whether it uses a tool."""
        return "normal" if self.tool is None else "tool"


def parse_steps(text: str, *, mode: Mode = "strict") -> list[ReasoningStep]:
    """The steps of a reasoning text, in order.

    A step is a line `- Step k: NAME (KIND)` and the lines up to the next one. `KIND` is `tool: TOOL`, or anything else
    for reasoning; it stands in the last parentheses of the line, since names have parentheses too. A name ends at a
    second colon. `### Final Response` ends the reasoning. A step without a colon before its kind, without a kind, or
    whose kind begins with "tool" and names none, is left out.

    `mode="strict"`: what follows the marker of the final response is one more step of that name, and text before the
    first step is none. `mode="code"`, as the released parser: the chunk that holds the marker becomes one step "Final
    Response" with the text *before* the marker, header included, and what follows is lost; text before the first step
    is read as one; and a step without a kind is kept as reasoning, its name cut by one character.

    Raises `ValueError` for an unknown mode.

    Cheng Qian et al., "SMART: Self-Aware Agent for Tool Overuse Mitigation", arXiv:2502.11435
    (qiancheng0/Open-SMARTAgent).
    """
    check_choice(mode, "mode", _MODES)
    if mode == "code":
        chunks = [chunk.strip() for chunk in text.strip().split(f"\n{_STEP}")]
        return [step for chunk in chunks if chunk and (step := _released_step(chunk)) is not None]
    reasoning, marker, response = text.partition(_FINAL)
    _, *chunks = f"\n{reasoning.lstrip()}".split(f"\n{_STEP}")
    steps = [step for chunk in chunks if (step := _step(chunk.strip())) is not None]
    return [*steps, ReasoningStep("Final Response", None, response.strip())] if marker else steps


def _released_step(chunk: str) -> ReasoningStep | None:
    before, marker, _ = chunk.partition(_FINAL)
    if marker:
        return ReasoningStep("Final Response", None, before.strip())
    header, newline, body = chunk.partition("\n")
    if "(" not in header:
        # The released parser takes the place -1 of the missing parenthesis for an end: its last character goes.
        return _step(f"{header[:-1]}(){newline}{body}")
    return _step(chunk)


def _step(chunk: str) -> ReasoningStep | None:
    header, _, body = chunk.partition("\n")
    title, parenthesis, kind = header.rpartition("(")
    _, colon, name = title.partition(":")
    if not (parenthesis and colon):
        return None
    kind, tool = kind.partition(")")[0], None
    if kind.startswith("tool"):
        _, named, tool = kind.partition(":")
        if not named:
            return None
        tool = tool.strip()
    return ReasoningStep(name.partition(":")[0].strip(), tool, body.strip())


@register("tool_steps", example="{reward: tool_steps}")
class ToolSteps(Reward):
    """How many steps of the reasoning use a tool: a count of at least 0, meant as a part of other rewards.

        outcome = Σ_k 1[step k is of type tool]

    The steps are those that `parse_steps` reads in all that the assistant wrote. Abstains where there is no step.

    Cheng Qian et al., "SMART: Self-Aware Agent for Tool Overuse Mitigation", arXiv:2502.11435
    (qiancheng0/Open-SMARTAgent).
    """

    name = "tool_steps"
    uses_context = False

    def score(self, sample: Chat, context: Context) -> float:
        steps = parse_steps(sample.text)
        if not steps:
            raise Abstain('there is no step "- Step k: NAME (KIND)"')
        return float(sum(step.type == "tool" for step in steps))
