"""Outcome reward of a multi-turn agent: token F1 of its tagged answer, or a penalty where the tags are broken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Score
from guerdon.core.tagged import counts, first
from guerdon.verify.qa import answer_aliases, normalize_answer, token_f1
from guerdon.verify.trajectory import trajectory

TAGS = ("code", "tool_call", "think", "answer")
ALIAS_SEPARATOR = "<|answer_split|>"

_normalize = partial(normalize_answer, punctuation="space", articles="keep")


def tag_problem(text: str, tags: Sequence[str] = TAGS) -> str | None:
    """What is wrong with the balance of these tags, or None.

    Each must open as often as it closes, and close once more behind its last opening.
    """
    for tag, (opened, closed) in counts(text, *tags).items():
        if opened != closed:
            return f"<{tag}> opens {opened} and closes {closed} times"
        if opened and text.rfind(f"<{tag}>") > text.rfind(f"</{tag}>"):
            return f"<{tag}> doesn't close behind its last opening"
    return None


def split_aliases(reference: Any) -> Any:
    """Text that holds several answers with `<|answer_split|>` between them as a list; anything else as it is."""
    return reference.lower().split(ALIAS_SEPARATOR) if isinstance(reference, str) else reference


@register("igpo", example="{reward: igpo, format_penalty: -1.0}")
class TaggedAnswerF1(Reward):
    """Set F1 of the first answer block of a whole trajectory, or a penalty where its tags are broken.

        R = format_penalty                   where `tag_problem` finds one, or there is no answer block
            max_a F1(answer, a)              else, in [0, 1]; 0 for an empty answer

    The trajectory is the text of all completion messages in lower case, tool results included; F1 is over sets
    of tokens, each ASCII punctuation mark replaced by a space, articles kept (`token_f1`). This is the reward
    of the last turn; those of the turns before are `credit.information_gain`.

    `format_penalty`: the paper asks for one below 0; -2 is that of the released code.

    The reference is a text, in which `<|answer_split|>` stands between aliases, or a list of aliases. Abstains
    where it is missing, isn't text, or has no token. Raises `ValueError` for a penalty that isn't finite.

    Guoqing Wang et al., "Information Gain-based Policy Optimization: A Simple and Effective Approach for
    Multi-Turn LLM Agents", arXiv 2510.14967, repository GuoqingWang1/IGPO.
    """

    uses_context = False

    def __init__(self, format_penalty: float = -2.0) -> None:
        check_number(format_penalty, "format_penalty")
        self.name = "igpo"
        self.format_penalty = format_penalty

    def score(self, sample: Chat, context: Context) -> float | Score:
        aliases = answer_aliases(split_aliases(sample.reference), _normalize)
        text = trajectory(sample).lower()
        block = first(text, "answer")
        problem = tag_problem(text) or (None if block else "there is no <answer> block")
        if problem or block is None:
            return Score(self.format_penalty, note=problem)
        return token_f1(block.inner(text), aliases, kind="set", normalize=_normalize)
