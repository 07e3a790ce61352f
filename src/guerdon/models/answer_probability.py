"""Outcome rewards without a verifier: how probable the reference answer is after a rollout's reasoning."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.samples import Chat, Sample
from guerdon.core.signal import Abstain, Failure, Value
from guerdon.core.tagged import last
from guerdon.models.continuation import Continuation, continuation_log_probs
from guerdon.models.log_probs import LogProbs
from guerdon.models.source import LogProbReward


def answer_probability(log_probs: ArrayLike, without: ArrayLike | None = None) -> float:
    """Mean probability of the tokens of the reference answer, in [0, 1].

        r = mean_k π(y*_k | q, o, y*_<k)
        r = clip(mean_k π(y*_k | q, o, y*_<k) − mean_k π(y*_k | q, y*_<k), 0, 1)        with `without`

    A mean of probabilities and not their product: one odd token doesn't decide, and long answers compare to short ones.

    Args:
        log_probs: (K,) of the answer's tokens after the reasoning o, at most 0 and K at least 1; −∞ is probability 0.
        without: (K',) the same without any reasoning.

    Raises:
        ValueError: on another shape, or a number that is NaN or above 0.

    The outcome reward of "P2S: Probabilistic Process Supervision for General-Domain Reasoning Question Answering", arXiv
    2601.20649, which is that of "RLPR: Extrapolating RLVR to General Domains without Verifiers", arXiv 2506.18254.
    """
    reached = _mean_probability(log_probs, "log_probs")
    if without is None:
        return reached
    return max(reached - _mean_probability(without, "without"), 0.0)


@register("answer_probability", example="{reward: answer_probability, gain: true}")
class AnswerProbability(LogProbReward):
    """Mean probability of the reference answer's tokens when it stands where the rollout answers, in [0, 1].

        R = answer_probability(log π(y* | q, o))        with `gain` less that of y* in the same tag without reasoning

    The completion is cut where its last block of `tag` begins, and the reference, a text, stands there instead. Without
    that block R is 0.

    `model`: a folder or Hugging Face id, loaded once (`guerdon[train]`), or a `LogProbs`; by default the live policy of
    the context, which must be a `LogProbs` too · `gain`: take off what the answer is worth without reasoning.

    Abstains where the sample isn't a `Chat` of one assistant turn, or the reference isn't text or is blank. A sample that
    can't be scored fails with its reason; all fail without a source. Raises `ValueError` for an empty `tag`.

    "P2S: Probabilistic Process Supervision for General-Domain Reasoning Question Answering", arXiv 2601.20649; "RLPR:
    Extrapolating RLVR to General Domains without Verifiers", arXiv 2506.18254.
    """

    name = "answer_probability"

    def __init__(
        self, model: str | LogProbs | None = None, *, tag: str = "answer", gain: bool = False
    ) -> None:
        if not tag:
            raise ValueError("tag: expected the name of a tag, got empty text")
        super().__init__(model)
        self.tag, self.gain = tag, gain

    def score(self, sample: Sample, context: Context) -> Value:
        source = self.source(context)
        if not isinstance(sample, Chat) or len(sample.completion_messages) != 1:
            raise Abstain("expected a Chat whose completion is one assistant turn")
        answer = sample.reference
        if not isinstance(answer, str) or not answer.strip():
            raise Abstain("reference: expected text that isn't blank")
        block = last(sample.text, self.tag)
        if block is None:
            return 0.0
        prefixes = [sample.text[: block.inner_start], f"<{self.tag}>"][: 2 if self.gain else 1]
        found: list[NDArray[np.float64]] = []
        for tokens in continuation_log_probs(source, [Continuation(sample, p, answer) for p in prefixes]):
            if isinstance(tokens, Failure):
                return tokens
            found.append(np.minimum(tokens, 0.0))
        return answer_probability(*found)


def _mean_probability(log_probs: ArrayLike, name: str) -> float:
    values = np.asarray(log_probs, dtype=np.float64)
    if values.ndim != 1 or not values.size or not (values <= 0).all():
        raise ValueError(f"{name}: expected numbers (K,) of at most 0, K at least 1, got {log_probs!r:.80}")
    return float(np.exp(values).mean())
