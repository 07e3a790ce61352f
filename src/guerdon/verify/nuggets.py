"""Rewards over nuggets, the weighted facts that an answer should hold: for the answer, and for who labels them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score
from guerdon.core.tagged import count
from guerdon.verify.nugget_labels import LABELS, LAYOUTS, Label, has_layout, label_text, parse_labels

_WEIGHTS = {"f1": 0.35, "exact": 0.35, "reasoning": 0.2, "layout": 0.1}


def nugget_recall(labels: Sequence[Sequence[Label]], weights: ArrayLike, *, partial: float = 0.5) -> float:
    """Weighted share of the nuggets that an answer supports: the policy's reward.

        R = Σ_i w_i · max_b V(labels[b][i]) / Σ_j w_j          in [0, 1]

    with `V` 1 for `support`, `partial` for `partial_support` and 0 for `not_support`. A long answer is labelled block
    by block, and its best block counts for each nugget.

    `labels`: blocks × nuggets. · `weights` (nuggets,): finite, at least 0; where they sum to 0, so does the reward. ·
    `partial` in [0, 1]: 0 is the strict reading.

    Raises `ValueError` where there is no block, a block hasn't one known label a nugget, or a weight or `partial` is
    out of its range.

    Linyue Ma et al., "An Efficient Rubric-based Generative Verifier for Search-Augmented LLMs", arXiv:2510.14660; the
    value 0.5 and the best block are inferred, not read, from the paper.
    """
    w = np.asarray(weights, dtype=np.float64)
    if w.ndim != 1 or not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(f"weights: expected finite numbers of at least 0, one a nugget, got {weights!r}")
    check_number(partial, "partial", 0.0, 1.0)
    if not labels:
        raise ValueError("labels: expected at least one block, got none")
    for b, block in enumerate(labels):
        unknown = [label for label in block if label not in LABELS]
        if len(block) != len(w) or unknown:
            got = f"{unknown[0]!r}" if unknown else f"{len(block)}"
            raise ValueError(f"labels[{b}]: expected {len(w)} of {', '.join(LABELS)}, got {got}")
    values = {"support": 1.0, "partial_support": partial, "not_support": 0.0}
    best = np.array([[values[label] for label in block] for block in labels]).max(axis=0)
    total = w.sum()
    return float(w @ best / total) if total > 0 else 0.0


def label_f1(predicted: Sequence[Label], gold: Sequence[Label], *, present_only: bool = False) -> float:
    """Macro F1 of aligned labels: the mean over the three classes of `2·tp / (2·tp + fp + fn)`, in [0, 1].

    A class that neither side has counts 1, as in the released code, so that two wrong labels of one class still get 1/3;
    `present_only` leaves such a class out of the mean. Without any label the result is 1, with `present_only` 0.

    Raises `ValueError` where the lengths differ.
    """
    if len(predicted) != len(gold):
        raise ValueError(f"predicted, gold: expected equal lengths, got {len(predicted)} and {len(gold)}")
    scores = list[float]()
    right = [g for p, g in zip(predicted, gold, strict=True) if p == g]
    for label in LABELS:
        both, total = right.count(label), predicted.count(label) + gold.count(label)
        if total or not present_only:
            scores.append(2 * both / total if total else 1.0)
    return sum(scores) / len(scores) if scores else 0.0


def labelling_parts(
    text: str, gold: Sequence[Label], layout: str, *, nuggets: int | None = None, present_only: bool = False
) -> dict[str, float] | None:
    """The four parts of `NuggetLabels` for what a verifier wrote; None where the whole is worth nothing.

    That is where there are no labels or not one for each nugget (by default, as many as `gold` has), where `gold` has
    another number of them, where their F1 is 0, or where `<reasoning>` opens more than once. An unknown `layout` is one
    that no text has.
    """
    answer = label_text(text)
    labels = parse_labels(answer)
    if not labels or not len(labels) == len(gold) == (len(gold) if nuggets is None else nuggets):
        return None
    f1 = label_f1(labels, gold, present_only=present_only)
    if f1 == 0 or count(text, "reasoning")[0] > 1:
        return None
    return {
        "f1": f1,
        "exact": float(labels == list(gold)),
        "reasoning": _reasoning(text),
        "layout": float(has_layout(answer, layout)),
    }


def _reasoning(text: str) -> float:
    if count(text, "reasoning") != (1, 1):
        return 0.0
    inner, closed, _ = text.partition("<reasoning>")[2].partition("</reasoning>")
    if not closed:
        return 0.0
    return 1.0 if inner.strip() else 0.5


@register("nugget_labels", example="{reward: nugget_labels, layout_key: prompt_format_hint}")
class NuggetLabels(Reward):
    """How well a verifier labelled the nuggets of a batch: macro F1, all of them right, and its form.

        outcome = 0.35·F1 + 0.35·1[labels = gold] + 0.2·reasoning + 0.1·layout          in [0, 1]

    **The turn** is the last assistant turn: a `<reasoning>` block, then one of `support`, `partial_support` and
    `not_support` for each nugget, in any form that `parse_labels` reads.

    - F1: `label_f1`. Its default pays labels that are all wrong about 0.42, since a class that nobody named counts 1;
      `present_only` leaves such classes out.
    - reasoning: 1 for one `<reasoning>` block with text in it; 0.5 where it is empty; else 0.
    - layout: 1 where the text of labels looks like the layout that the prompt asked for, else 0. `csv` and the other
      separated layouts can't be had with a single nugget.

    The outcome is 0, with a note, where there isn't one label for each nugget, their F1 is 0, or `<reasoning>` opens
    more than once; the parts are then missing. So one misspelt label costs everything.

    `layout_key`: the entry of `extra` that names the layout: json, csv, python_list, yaml, markdown, xml, tsv,
    numbered, comma_separated or pipe_separated.

    The reference is the gold labels: a list of them, or text, read like the turn. Abstains where it is missing or has
    no label or an unknown one, and where the layout is missing or unknown.

    Linyue Ma et al., "An Efficient Rubric-based Generative Verifier for Search-Augmented LLMs", arXiv:2510.14660
    (linyue-ma/Search-Gen-V).
    """

    name = "nugget_labels"
    uses_context = False

    def __init__(self, *, layout_key: str = "prompt_format_hint", present_only: bool = False) -> None:
        if not isinstance(layout_key, str) or not layout_key:
            raise ValueError(f"nugget_labels.layout_key: expected the name of a column, got {layout_key!r}")
        if type(present_only) is not bool:
            raise TypeError(f"nugget_labels.present_only: expected true or false, got {present_only!r}")
        self.layout_key = layout_key
        self.present_only = present_only

    def score(self, sample: Chat, context: Context) -> Score:
        gold = _gold_labels(sample.reference)
        layout = sample.extra.get(self.layout_key)
        if not isinstance(layout, str) or layout not in LAYOUTS:
            raise Abstain(f"extra.{self.layout_key}: expected one of {', '.join(LAYOUTS)}, got {layout!r}")
        parts = labelling_parts(sample.final, gold, layout, present_only=self.present_only)
        note = _why_nothing(sample.final, gold) if parts is None else None
        return Score(labelling_score(parts), parts=parts or {}, note=note)


def labelling_score(parts: dict[str, float] | None) -> float:
    """The weighted sum of `labelling_parts`; 0 for None."""
    return 0.0 if parts is None else sum(_WEIGHTS[name] * value for name, value in parts.items())


def _why_nothing(text: str, gold: Sequence[Label]) -> str:
    opened, found = count(text, "reasoning")[0], len(parse_labels(label_text(text)))
    if opened > 1:
        return f"<reasoning> opens {opened} times, expected one block"
    return f"found {found} labels for {len(gold)} nuggets" if found != len(gold) else "no label is right"


def _gold_labels(reference: Any) -> list[Label]:
    if isinstance(reference, str):
        labels = parse_labels(label_text(reference))
        if not labels:
            raise Abstain("reference: no label can be read from its text")
        return labels
    if not isinstance(reference, (list, tuple)) or not reference:
        raise Abstain(f"reference: expected labels or their text, got {type(reference).__name__}")
    for label in reference:
        if label not in LABELS:
            raise Abstain(f"reference: expected labels of {', '.join(LABELS)}, got {label!r}")
    return list(reference)
