"""Reward for routing queries to other models: form, then the answer, then what the calls cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.algebra import Expression, name_parts, reasons_for
from guerdon.core.checks import check_choice, check_number
from guerdon.core.context import Context
from guerdon.core.recent import RecentValues
from guerdon.core.registry import register
from guerdon.core.reward import Reward, Scope
from guerdon.core.signal import Signal, Status
from guerdon.core.tagged import last
from guerdon.verify.cost import Cost
from guerdon.verify.qa import CLOSED_ANSWERS, QuestionAnswer, exact_match, token_f1
from guerdon.verify.routing_format import Pool, RoutingFormat

AnswerMetric: TypeAlias = Literal["em", "f1"]


class RunningCostReward:
    """Costs on a scale from 1, cheap, to 0, dear, by the percentiles of recent ones.

        x = sqrt(c),   lo, hi = percentiles of the last `window` values of x, this one included
        C = 1 − clip((x − lo) / (hi − lo), 0, 1)              1/2 where hi − lo < epsilon

    It has a state: costs enter in order, and each is judged by those before it. The first is always 1/2.
    Percentiles are interpolated linearly.

    Raises `ValueError` where `window` is below 1, `percentiles` aren't `0 <= low < high <= 100`, or `epsilon`
    isn't above 0.

    Haozhen Zhang, Tao Feng, Jiaxuan You, "Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via
    Reinforcement Learning", arXiv 2506.09033, repository ulab-uiuc/Router-R1.
    """

    def __init__(
        self, window: int = 1000, percentiles: tuple[float, float] = (5.0, 95.0), epsilon: float = 1e-8
    ) -> None:
        low, high = percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles: expected 0 <= low < high <= 100, got {percentiles}")
        self.percentiles, self.epsilon = (low, high), check_number(epsilon, "epsilon", above=0.0)
        self._recent = RecentValues(window)

    def __call__(self, costs: ArrayLike) -> NDArray[np.float64]:
        """C of each cost (n,), in order. Raises `ValueError` where one is negative or not finite; then none enters."""
        roots = np.asarray(costs, dtype=np.float64)
        if roots.ndim != 1 or not (np.isfinite(roots) & (roots >= 0)).all():
            raise ValueError(f"costs: expected finite numbers of at least 0, shape (n,); got {costs!r}")
        return np.array([self._judge(math.sqrt(cost)) for cost in roots.tolist()], dtype=np.float64)

    def _judge(self, root: float) -> float:
        self._recent.enter(root)
        low, high = map(self._recent.percentile, self.percentiles)
        if high - low < self.epsilon:
            return 0.5
        return 1.0 - min(max((root - low) / (high - low), 0.0), 1.0)

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved to go on later."""
        return {"recent": self._recent.values()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._recent = RecentValues(self._recent.window, map(float, state["recent"]))


class RoutedScore(NamedTuple):
    """`metric`: what is logged of the answer · `cost_reward`: as given · `total`: the reward to train on."""

    metric: float
    cost_reward: float
    total: float


def routing_reward(
    penalty: ArrayLike, outcome: ArrayLike, cost_reward: ArrayLike, alpha: float
) -> NDArray[np.float64]:
    """Form before answer before cost.

        R = P                         where P < 0
            0                         where P = 0 and the outcome s is 0
            (1 − α) · s + α · C       else

    `penalty` P in {-1, 0}, `outcome` s in [0, 1], `cost_reward` C in [0, 1], shapes that broadcast. So a wrong
    answer gains nothing by being cheap. Raises `ValueError` where `alpha` isn't in [0, 1].

    Haozhen Zhang, Tao Feng, Jiaxuan You, "Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via
    Reinforcement Learning", arXiv 2506.09033, repository ulab-uiuc/Router-R1.
    """
    check_number(alpha, "alpha", 0.0, 1.0)
    p, s, c = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (penalty, outcome, cost_reward)))
    return np.where(p < 0, p, np.where(s > 0, (1 - alpha) * s + alpha * c, 0.0))


def routed_score(
    text: str,
    aliases: str | Sequence[str],
    *,
    penalty: float,
    cost_reward: float,
    alpha: float,
    metric: AnswerMetric = "em",
) -> RoutedScore:
    """`routing_reward` of a trajectory's last answer, with the metric that the released code logs beside it.

    The logged metric is EM or the best F1; 0 without an answer; and with `metric="em"` the penalty where the
    answer is wrong. EM and F1 are those of `QuestionAnswer`, F1 with `closed=CLOSED_ANSWERS`.
    """
    check_choice(metric, "metric", get_args(AnswerMetric))
    block = last(text, "answer")
    if block is None:
        outcome = logged = 0.0
    elif metric == "em":
        outcome = float(exact_match(block.inner(text), aliases))
        logged = outcome or penalty
    else:
        outcome = logged = token_f1(block.inner(text), aliases, closed=CLOSED_ANSWERS)
    return RoutedScore(logged, cost_reward, float(routing_reward(penalty, outcome, cost_reward, alpha)))


@register("router_r1", example="{reward: router_r1, metric: f1, alpha: 0.6}")
class RoutedAnswer(Expression):
    """Form, answer and cost of a trajectory that routes queries to other models, in [-1, 1].

        R = routing_reward(P, s, C, alpha)        P: `RoutingFormat`   s: `qa` of the last answer   C: `RunningCostReward`

    `metric`: `em`, or `f1` with `closed=CLOSED_ANSWERS`. · `alpha` in [0, 1]: weight of cost against the
    answer. With 0, the paper's default, cost isn't looked at and the reward has no state. · `cost`: a reward
    that is minus the cost of a sample, by default `Cost(key="cost")`, which reads `extra["cost"]`: completion
    tokens times price, over the calls, in any unit. · `pool`: as in `routed_model`. · `window`: of
    `RunningCostReward`.

    With `alpha > 0` the scope is `batch`: every scored sample enters the window in the order of the batch,
    wrong and malformed ones too. `state_dict` holds the window.

    A sample for which a part abstains (no reference, no cost) abstains; one for which a part failed fails.
    Neither enters the window. Raises `ValueError` for an unknown `metric` or an `alpha` outside [0, 1].

    Haozhen Zhang, Tao Feng, Jiaxuan You, "Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via
    Reinforcement Learning", arXiv 2506.09033, repository ulab-uiuc/Router-R1.
    """

    def __init__(
        self,
        metric: AnswerMetric = "em",
        *,
        alpha: float = 0.0,
        cost: Reward | None = None,
        pool: Pool | None = None,
        window: int = 1000,
    ) -> None:
        check_choice(metric, "metric", get_args(AnswerMetric))
        self.alpha = check_number(alpha, "alpha", 0.0, 1.0)
        self.metric: AnswerMetric = metric
        self.window = window
        self._cost_reward = RunningCostReward(window)
        answer = QuestionAnswer(metric, extract="last", closed=CLOSED_ANSWERS)
        parts: list[Reward] = [RoutingFormat(pool), answer]
        if alpha:
            parts.append(Cost() if cost is None else cost)
        super().__init__(parts, "router_r1")

    @property
    def scope(self) -> Scope:  # pyright: ignore[reportIncompatibleVariableOverride]
        return "batch" if self.alpha else super().scope

    def options(self) -> dict[str, Any]:
        return {"metric": self.metric, "alpha": self.alpha, "window": self.window}

    def own_state(self) -> dict[str, Any]:
        return self._cost_reward.state_dict() if self.alpha else {}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        self._cost_reward.load_state_dict(state)

    def combine(self, signals: Sequence[Signal], groups: NDArray[np.int64], context: Context) -> Signal:
        penalty, answer = signals[:2]
        status = np.max([signal.status for signal in signals], axis=0)
        reasons = reasons_for(status, signals, self.parts)
        if self.alpha:
            for i in np.flatnonzero((status == Status.OK) & (signals[2].outcome > 0)).tolist():
                status[i] = Status.FAILED
                reasons[i] = (
                    f"{self.parts[2].name}: expected minus a cost, at most 0, got {signals[2].outcome[i]:g}"
                )
        ok = status == Status.OK
        parts = name_parts(self.parts, signals)
        cost_reward = np.zeros(len(penalty))
        if self.alpha:
            cost_reward[ok] = self._cost_reward(-signals[2].outcome[ok])
            parts["cost_reward"] = Signal(cost_reward, np.where(ok, Status.OK, Status.ABSTAINED))
        outcome = np.full(len(penalty), np.nan)
        outcome[ok] = routing_reward(penalty.outcome[ok], answer.outcome[ok], cost_reward[ok], self.alpha)
        return Signal(outcome, status, parts=parts, reasons=reasons)
