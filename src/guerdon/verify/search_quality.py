"""Quality of the search queries of a rollout: what they brought that was new, and whether it was useful."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score


def repeated_documents(rounds: Sequence[Sequence[Hashable]]) -> list[int]:
    """For each search round, how many of its documents an earlier round brought already.

        O_t = Σ_i 1[D_{t,i} ∈ ∪_{s<t} D_s]

    `rounds`: the ids (or hashes of the content) of what each round retrieved. Every position counts, so an old
    document that is listed twice adds 2; a repetition inside one round adds nothing. The first is always 0.
    """
    seen = set[Hashable]()
    repeated = list[int]()
    for documents in rounds:
        repeated.append(sum(document in seen for document in documents))
        seen.update(documents)
    return repeated


def novel_rounds(rounds: Sequence[Sequence[Hashable]], threshold: int) -> list[bool]:
    """Whether each round is novel: at most `threshold` of its documents are repeated, see `repeated_documents`.

    Raises `ValueError` where `threshold` is below 0.
    """
    _check_threshold(threshold)
    return [repeated <= threshold for repeated in repeated_documents(rounds)]


@register("search_quality", example="{reward: search_quality, threshold: 2}")
class SearchQuality(Reward):
    """What bad search queries cost: the mean over rounds of `S_t − 1`, in [-1, 0].

        S_t = 1[round t is novel] · 1[round t is useful]
        R   = mean_t S_t − 1                               0 where no round is scored

    `extra["retrieved"]` lists the ids of the documents of each search round; a round is novel where at most
    `threshold` of them were retrieved before (`novel_rounds`). `useful`: the key of `extra` under which a
    judge's verdict on each round stands, 1 or 0; None marks a verdict that couldn't be read, and that round
    isn't scored. Without it every round counts as useful. The judge sees the reference answer, so its verdicts
    are for training only.

    Add it to the reward of the answer with a small weight, so that the agent doesn't stop searching.
    `Signal.parts["low_quality"]` counts the rounds with `S_t = 0`.

    Abstains where `extra["retrieved"]`, or the verdicts asked for, are missing. A sample fails where they
    aren't lists of the same length or a verdict isn't 0, 1 or None. Raises `ValueError` for a `threshold`
    below 0.

    Tongyu Wen, Guanting Dong, Zhicheng Dou, "SmartSearch: Process Reward-Guided Query Refinement for Search
    Agents", arXiv 2601.04888, repository MYVAE/SmartSearch. The threshold has no default and the mean is one
    reading of the process reward: how the paper sets the one and mixes the other with the outcome is inferred.
    """

    uses_context = False

    def __init__(self, threshold: int, *, useful: str | None = None) -> None:
        self.name = "search_quality"
        self.threshold = _check_threshold(threshold)
        self.useful = useful

    def score(self, sample: Chat, context: Context) -> Score:
        rounds = _listed(sample, "retrieved")
        for t, documents in enumerate(rounds):
            if not isinstance(documents, (list, tuple)):
                raise TypeError(
                    f"extra['retrieved'][{t}]: expected a list of ids, got {type(documents).__name__}"
                )
        verdicts = [1] * len(rounds) if self.useful is None else _listed(sample, self.useful)
        if len(verdicts) != len(rounds) or not all(verdict in (0, 1, None) for verdict in verdicts):
            raise ValueError(
                f"extra[{self.useful!r}]: expected {len(rounds)} verdicts 0, 1 or None, got {verdicts!r}"
            )
        novel = novel_rounds(rounds, self.threshold)
        bad = [
            not (new and verdict) for new, verdict in zip(novel, verdicts, strict=True) if verdict is not None
        ]
        low_quality = float(sum(bad))
        return Score(-low_quality / len(bad) if bad else 0.0, parts={"low_quality": low_quality})


def _listed(sample: Chat, key: str) -> Sequence[Any]:
    found = sample.extra.get(key)
    if found is None:
        raise Abstain(f"extra[{key!r}]: missing")
    if not isinstance(found, (list, tuple)):
        raise TypeError(f"extra[{key!r}]: expected a list, got {type(found).__name__}")
    return found


def _check_threshold(threshold: int) -> int:
    if threshold < 0:
        raise ValueError(f"threshold: expected at least 0, got {threshold}")
    return threshold
