"""Rewards for choosing an arm of a multi-armed bandit.

The rule of UCB1 stands here because a choice is verified against it; measures of whole runs are in
`bandit_runs`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain
from guerdon.core.tagged import blocks

Against: TypeAlias = Literal["means", "ucb"]


def strategic_reward(arm: int, means: ArrayLike) -> float:
    """Normalised regret of a choice, turned round: 1 for a best arm, 0 for a worst, in [0, 1].

        R = (μ_arm − μ_min) / (μ_max − μ_min)        1 where all means are equal

    `arm`: counted from 0 · `means` (K,): the true means, known in training only. Unlike the sampled reward
    it doesn't vary between pulls; and it pays nothing for what a pull teaches, so it is greedy.

    Raises `ValueError` where `arm` isn't in [0, K) or a mean isn't finite.

    "When Greedy Wins: Emergent Exploitation Bias in Meta-Bandit LLM Training", arXiv 2509.24923, repository
    sanxing-chen/meta-bandit-llm. The formula is inferred from the description, not checked against the code.
    """
    mu = real_row(means, "means")
    check_arm(arm, mu.size, "arm")
    low, high = float(mu.min()), float(mu.max())
    return 1.0 if low == high else (float(mu[arm]) - low) / (high - low)


def ucb_action(counts: ArrayLike, sums: ArrayLike, c: float = 1.0) -> int:
    """The arm that UCB1 pulls next, counted from 0.

        the first arm that was never pulled, else  argmax_a  sums_a / counts_a + c · sqrt(ln t / counts_a)

    `counts` (K,): pulls of each arm · `sums` (K,): sum of the rewards of each arm · `c` ≥ 0: weight of
    exploration, in the unit of the rewards · t = Σ counts; ln is the natural logarithm. A tie goes to the
    lowest index.

    Raises `ValueError` for shapes that don't fit, counts that aren't whole numbers of at least 0, a sum that
    isn't finite or a negative `c`.

    P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time analysis of the multiarmed bandit problem", Machine
    Learning 2002; their UCB1 has c = sqrt(2) for rewards in [0, 1].
    """
    n, total = real_row(counts, "counts"), real_row(sums, "sums")
    if n.shape != total.shape:
        raise ValueError(f"sums: expected shape {n.shape} as counts, got {total.shape}")
    if (n < 0).any() or (n != np.floor(n)).any():
        raise ValueError(f"counts: expected whole numbers of at least 0, got {n.tolist()}")
    check_number(c, "c", low=0.0)
    if (n == 0).any():
        return int(np.argmin(n))
    return int(np.argmax(total / n + c * np.sqrt(math.log(n.sum()) / n)))


@register("bandit_choice", example="{reward: bandit_choice, against: ucb, c: 1.0}")
class BanditChoice(Reward):
    """How good the arm is that a completion chooses, in [0, 1], or `invalid`.

        against="means"    R = strategic_reward(arm, means)
        against="ucb"      R = 1 if arm == ucb_action(counts, sums, c) else 0

    The arm is what the last `tag` block of the last assistant turn holds that names an arm, spaces around it
    left out; where there is none, R is `invalid`. The reference is a mapping:

    - `means` (K,), or `counts` and `sums` (K,): what the functions above are given;
    - `arms` (K,): the names of the arms, texts that differ; "0" to "K−1" without it.

    Each choice is scored by itself: nothing is paid for what later choices gain from it. Abstains where the
    reference isn't a mapping or lacks what `against` needs. A sample fails where numbers or names in it are
    malformed. Raises `ValueError` for an unknown `against`, an empty `tag`, a negative `c` or an `invalid`
    that isn't finite.

    "When Greedy Wins: Emergent Exploitation Bias in Meta-Bandit LLM Training", arXiv 2509.24923, repository
    sanxing-chen/meta-bandit-llm: its strategic reward and its algorithmic reward.
    """

    name = "bandit_choice"
    uses_context = False

    def __init__(
        self, against: Against = "means", tag: str = "answer", c: float = 1.0, invalid: float = 0.0
    ) -> None:
        check_choice(against, "against", get_args(Against))
        if not tag:
            raise ValueError("tag: expected the name of a tag, got empty text")
        self.against: Against = against
        self.tag, self.c = tag, check_number(c, "c", low=0.0)
        self.invalid = check_number(invalid, "invalid")

    def score(self, sample: Chat, context: Context) -> float:
        needed = ("means",) if self.against == "means" else ("counts", "sums")
        reference = sample.reference
        if not isinstance(reference, Mapping):
            raise Abstain(f"reference: expected a mapping, got {type(reference).__name__}")
        for key in needed:
            if reference.get(key) is None:
                raise Abstain(f"reference[{key!r}]: missing")
        first, *rest = (real_row(reference[key], f"reference[{key!r}]") for key in needed)
        arm = self._chosen(sample.final, _arm_names(reference.get("arms"), first.size))
        if self.against == "means":
            return self.invalid if arm is None else strategic_reward(arm, first)
        best = ucb_action(first, rest[0], self.c)
        return self.invalid if arm is None else float(arm == best)

    def _chosen(self, text: str, arms: Mapping[str, int]) -> int | None:
        answers = (block.inner(text).strip() for block in reversed(blocks(text, self.tag)))
        return next((arms[answer] for answer in answers if answer in arms), None)


def real_row(values: Any, name: str) -> NDArray[np.float64]:
    """Finite numbers (K,) with K ≥ 1. Raises `ValueError` otherwise."""
    try:
        row = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}: expected numbers, got {values!r:.100}") from error
    if row.ndim != 1 or not row.size or not np.isfinite(row).all():
        raise ValueError(f"{name}: expected a flat list of finite numbers, got {values!r:.100}")
    return row


def check_arm(arm: int, n_arms: int, name: str) -> None:
    """Raise `ValueError` unless `arm` is an index in [0, n_arms)."""
    if isinstance(arm, bool) or arm != int(arm) or not 0 <= arm < n_arms:
        raise ValueError(f"{name}: expected an arm in [0, {n_arms}), got {arm!r}")


def _arm_names(names: Any, n_arms: int) -> dict[str, int]:
    if names is None:
        return {str(arm): arm for arm in range(n_arms)}
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"reference['arms']: expected a list of texts, got {names!r:.100}")
    found = {name.strip(): arm for arm, name in enumerate(names)}
    if len(names) != n_arms or len(found) != n_arms:
        raise ValueError(f"reference['arms']: expected {n_arms} different names, got {names!r:.100}")
    return found
