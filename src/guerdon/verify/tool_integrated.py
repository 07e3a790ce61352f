"""Reward for mathematics reasoned with programs: is the trajectory's final answer right?"""

from __future__ import annotations

from functools import lru_cache

from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain
from guerdon.verify.math import reference_texts
from guerdon.verify.math_grading import answers_equal
from guerdon.verify.math_strings import normalize_answer
from guerdon.verify.programs import final_answer, trajectory_text


@register("tool_integrated_math", example="{reward: tool_integrated_math, percentages: true}")
class ToolIntegratedMath(Reward):
    """1 where the final answer of a trajectory of text, programs and outputs equals the reference, else 0.

        outcome = max over references r of 1[answers_equal(final_answer(τ), normalize_answer(r))]

    **The trajectory** τ is a text completion, with programs in "```python" and what they printed in "```output" fences,
    or messages, where a tool result stands for an output fence. The output of the last program counts as the answer
    where the text gives none, and the last number where there is no output either; the reward `math` asks for an answer
    that is marked, and compares exactly.

    `percentages`: whether a number also equals the reference times or over 100, as in the released grader. False by
    default, since it pays for 1200 where 12 is right.

    The reference is text, a finite number, or a list of those, any of which is right. Abstains where it is missing, of
    another type, or empty once normalised. A trajectory without an answer scores 0; an answer with over 12 brackets that
    open in a row fails the sample. Symbolic comparison has no time limit of its own: the engine's applies.

    Zhibin Gou et al., "ToRA: A Tool-Integrated Reasoning Agent for Mathematical Problem Solving", arXiv:2309.17452
    (microsoft/ToRA).
    """

    name = "tool_integrated_math"
    uses_context = False

    def __init__(self, percentages: bool = False) -> None:
        if type(percentages) is not bool:
            raise TypeError(f"tool_integrated_math.percentages: expected true or false, got {percentages!r}")
        self.percentages = percentages

    def score(self, sample: Chat, context: Context) -> float:
        references = [_normalized_reference(text) for text in reference_texts(sample.reference)]
        if not all(references):
            raise Abstain("reference: expected an answer, nothing is left once normalised")
        answer = final_answer(trajectory_text(sample))
        return float(any(answers_equal(answer, each, percentages=self.percentages) for each in references))


# The completions of a group share their reference.
_normalized_reference = lru_cache(maxsize=1024)(normalize_answer)
