"""Process rewards without a verifier: how likely the rest of a reference path is after each step of a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.samples import Chat, Sample
from guerdon.core.signal import Abstain, Failure, Score, Value
from guerdon.core.tagged import last
from guerdon.models.continuation import Continuation, continuation_log_probs
from guerdon.models.log_probs import LogProbs
from guerdon.models.source import LogProbReward

Alignment: TypeAlias = Literal["same", "proportional", "best"]
Form: TypeAlias = Literal["gain", "level"]


def aligned_steps(steps: int, path_steps: int, alignment: Alignment = "same") -> list[list[int]]:
    """Which suffixes of the path each step t = 1..T is compared with: j is the suffix after its first j steps.

        same           j = min(t, M − 1)
        proportional   j = min(⌊t · M / T + 1/2⌋, M − 1)
        best           every j < M, of which `path_faithfulness` takes the likeliest

    `steps` T at least 0 · `path_steps` M at least 1. The suffix is never empty. Raises `ValueError` out of those ranges or
    for an unknown alignment.
    """
    check_choice(alignment, "alignment", get_args(Alignment))
    check_number(steps, "steps", low=0)
    check_number(path_steps, "path_steps", low=1)
    if alignment == "best":
        return [list(range(path_steps)) for _ in range(steps)]
    if alignment == "same":
        return [[min(t, path_steps - 1)] for t in range(1, steps + 1)]
    return [[min((2 * t * path_steps + steps) // (2 * steps), path_steps - 1)] for t in range(1, steps + 1)]


def path_faithfulness(
    scores: ArrayLike, *, alignment: Alignment = "same", form: Form = "gain"
) -> NDArray[np.float64]:
    """Path faithfulness reward of each step.

        S(t, j) = mean log π(g_{j+1..M} | q, c_1..c_t)      a token, so that long and short suffixes compare
        level   PFR_t = exp(S(t, j_t))                       in [0, 1]
        gain    PFR_t = exp(S(t, j_t)) − exp(S(0, j_t))      in [−1, 1]; what the suffix is worth anyway is taken off

    with j_t of `aligned_steps`; for `best` the one with the largest S(t, j), the first on a tie.

    Args:
        scores: (T+1, M), S(t, j) ≤ 0 with row 0 for no step yet. Cells that the alignment doesn't ask for may be NaN, and
            row 0 where the form is `level`.
        alignment, form: see above.

    Returns:
        (T,) float64.

    Raises:
        ValueError: on another shape, a score that is asked for and is NaN or above 0, or unknown options.

    "P2S: Probabilistic Process Supervision for General-Domain Reasoning Question Answering", arXiv 2601.20649. No code is
    known: the normaliser, the alignments and both forms are a reading of its abstract.
    """
    check_choice(form, "form", get_args(Form))
    s = np.asarray(scores, dtype=np.float64)
    if s.ndim != 2 or 0 in s.shape:
        raise ValueError(f"scores: expected shape (T+1, M) with M of at least 1, got {s.shape}")
    asked = aligned_steps(s.shape[0] - 1, s.shape[1], alignment)
    for t, js in enumerate(asked, start=1):
        cells = s[t, js] if form == "level" else np.concatenate([s[t, js], s[0, js]])
        if not (cells <= 0).all():
            raise ValueError(
                f"scores: expected mean log-probabilities of at most 0 for step {t}, got another"
            )
    chosen = [(t, js[int(np.argmax(s[t, js]))]) for t, js in enumerate(asked, start=1)]
    return np.array([np.exp(s[t, j]) - (np.exp(s[0, j]) if form == "gain" else 0.0) for t, j in chosen])


def line_spans(
    text: str, start: int = 0, stop: int | None = None, *, shortest: int = 1
) -> list[tuple[int, int]]:
    """Spans of the lines of `text[start:stop]`, which together cover it; empty where it is blank.

    A line with fewer than `shortest` characters, surrounding space not counted, belongs to the step after it; at the
    end, to the one before.
    """
    spans, begin, end = list[tuple[int, int]](), start, start
    for line in text[start:stop].splitlines(keepends=True):
        end += len(line)
        if len(text[begin:end].strip()) >= shortest:
            spans.append((begin, end))
            begin = end
    if begin < end and spans:
        spans[-1] = (spans[-1][0], end)
    elif text[begin:end].strip():
        spans.append((begin, end))
    return spans


@register("path_faithfulness", example="{reward: path_faithfulness, alignment: same}")
class PathFaithfulness(LogProbReward):
    """How much likelier each step of a rollout makes the rest of a reference path.

        dense_t = path_faithfulness(S, …)_t        see there for S, the alignments and the forms; the outcome is 0

    The reference is the path: a text, whose lines are steps, or a list of steps. In the published loop the policy writes
    candidates from question and answer, those are dropped that break the format, miss the answer or don't reason, and
    the one is kept after which the answer is likeliest without the hint. Take the answer out of the path: quoted early,
    it makes any step look good.

    `model`: a folder or Hugging Face id, loaded once (`guerdon[train]`), or a `LogProbs`; by default the live policy of
    the context, which must be a `LogProbs` too · `tag`: the steps are the lines in its last block, or with None in the
    whole turn; spans count characters of `Chat.text` · `shortest`: characters of the shortest line that is a step of its
    own, see `line_spans`.

    A rollout of T steps takes about 2T forward passes, T·M with `alignment="best"`. Put `| total` with `reduce: mean`
    behind it for one number, and add it to an outcome reward with a weight.

    Abstains where the sample isn't a `Chat` of one assistant turn, its tag is missing, it has no step, or the reference
    isn't a path. A sample that can't be scored fails with its reason; all fail without a source. Raises `ValueError` for
    unknown options.

    "P2S: Probabilistic Process Supervision for General-Domain Reasoning Question Answering", arXiv 2601.20649; no code is
    known, see `path_faithfulness`.
    """

    name = "path_faithfulness"

    def __init__(
        self,
        model: str | LogProbs | None = None,
        *,
        alignment: Alignment = "same",
        form: Form = "gain",
        tag: str | None = "think",
        shortest: int = 1,
    ) -> None:
        check_choice(alignment, "alignment", get_args(Alignment))
        check_choice(form, "form", get_args(Form))
        check_number(shortest, "shortest", low=1)
        super().__init__(model)
        self.tag, self.shortest = tag, shortest
        self.alignment: Alignment = alignment
        self.form: Form = form

    def score(self, sample: Sample, context: Context) -> Value:
        source = self.source(context)
        if not isinstance(sample, Chat) or len(sample.completion_messages) != 1:
            raise Abstain("expected a Chat whose completion is one assistant turn")
        text = sample.text
        spans, path = self._spans(text), self._path(sample.reference)
        asked = aligned_steps(len(spans), len(path), self.alignment)
        cells = {(t, j) for t, js in enumerate(asked, start=1) for j in js}
        if self.form == "gain":
            cells |= {(0, j) for _, j in cells}
        ends = [spans[0][0], *(end for _, end in spans)]
        order = sorted(cells)
        found = continuation_log_probs(
            source,
            [Continuation(sample, _ended(text[: ends[t]]), "\n".join(path[j:])) for t, j in order],
        )
        scores = np.full((len(spans) + 1, len(path)), np.nan)
        for cell, tokens in zip(order, found, strict=True):
            if isinstance(tokens, Failure):
                return tokens
            scores[cell] = min(float(tokens.mean()), 0.0)
        values = path_faithfulness(scores, alignment=self.alignment, form=self.form)
        return Score(dense=values, spans=spans, unit="step")

    def _spans(self, text: str) -> list[tuple[int, int]]:
        start, stop = 0, len(text)
        if self.tag is not None:
            block = last(text, self.tag)
            if block is None:
                raise Abstain(f"completion: has no block of <{self.tag}>")
            start, stop = block.inner_start, block.inner_end
        spans = line_spans(text, start, stop, shortest=self.shortest)
        if not spans:
            raise Abstain("completion: has no step")
        return spans

    def _path(self, reference: Any) -> list[str]:
        if isinstance(reference, str):
            spans = line_spans(reference, shortest=self.shortest)
            steps: Sequence[Any] = [reference[start:end].strip() for start, end in spans]
        else:
            steps = reference if isinstance(reference, (list, tuple)) else []
        if not steps or not all(isinstance(step, str) and step.strip() for step in steps):
            raise Abstain("reference: expected a path, as text or a list of texts that aren't blank")
        return list(steps)


def _ended(prefix: str) -> str:
    """The prefix with its last line ended, where it has one that isn't."""
    return prefix if not prefix or prefix.endswith("\n") else prefix + "\n"
