"""Advantage estimators: what a trainer calls to turn the Signal of a batch into one advantage a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_number
from guerdon.core.dense import Dense
from guerdon.core.identity import Spec
from guerdon.core.registry import register
from guerdon.core.signal import Signal
from guerdon.credit.group_relative import (
    BASELINES,
    SCALES,
    SINGLETONS,
    Baseline,
    Scale,
    Singleton,
    group_relative,
)
from guerdon.credit.returns import discounted_returns
from guerdon.credit.spread import broadcast_outcome, spread_steps
from guerdon.shape.arrays import check_spans
from guerdon.shape.statistics import STD_FLOOR, check_normalization, group_statistics


class Estimator:
    """Base of every estimator. Implement `__call__`."""

    spec: Spec | None = None

    def __call__(
        self,
        signal: Signal,
        groups: NDArray[np.integer[Any]],
        mask: NDArray[Any],
        spans: NDArray[np.integer[Any]] | None = None,
    ) -> NDArray[np.floating[Any]]:
        """Advantages of a batch of n samples, padded to T tokens.

        Args:
            signal: rewards of the n samples. Samples whose status isn't OK get advantage 0 and enter no
                statistic.
            groups: (n,) integer codes; samples with one code answer the same prompt.
            mask: (n, T) booleans or integers; tokens outside it (padding, tool output) get advantage 0.
            spans: (m, 2) integers, half-open: where the m values of `signal.dense` lie, in tokens of their
                row. Only estimators that read the dense channel look at it.

        Returns:
            (n, T) finite.

        Raises:
            ValueError: on shapes that don't fit.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: an estimator implements __call__(signal, groups, mask, spans)"
        )


class Steps(NamedTuple):
    """The m dense values of a batch, those of each row in the order of their ends.

    `values` (m,) float64 · `ends` (m,): the token at which each ends, counted in its row, rising within it · `row` (m,):
    the sample of each · `offsets` (n+1,): where the samples' values lie.
    """

    values: NDArray[np.float64]
    ends: NDArray[np.int64]
    row: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, signal: Signal, spans: NDArray[np.integer[Any]] | None) -> Steps:
        """Those of a signal.

        Raises `ValueError` where it has no dense channel, `spans` don't fit it, or it needs them and they are missing.
        """
        dense = signal.dense
        if dense is None:
            raise ValueError("signal: there is no dense channel; use an outcome estimator")
        ends = _dense_ends(dense, spans)
        order = np.lexsort((ends, dense.row_index))
        return cls(dense.values[order], ends[order], dense.row_index, dense.offsets)

    @property
    def spans(self) -> NDArray[np.int64]:
        """Tokens (m, 2) of each step: from where the one before it in its row ends, or from 0."""
        return spans_to(self.ends, self.row)


class StepEstimator(Estimator):
    """Base of the estimators that read the dense channel. Implement `of_steps`.

    A batch in which no sample is OK has advantages of 0, and needs no dense channel.
    """

    dtype: str = "float32"

    def __call__(
        self,
        signal: Signal,
        groups: NDArray[np.integer[Any]],
        mask: NDArray[Any],
        spans: NDArray[np.integer[Any]] | None = None,
    ) -> NDArray[np.floating[Any]]:
        mask = np.asarray(mask)
        if mask.ndim != 2 or len(mask) != len(signal):
            raise ValueError(f"mask: expected shape ({len(signal)}, T), got {mask.shape}")
        codes = np.asarray(groups)
        if codes.shape != (len(signal),) or codes.dtype.kind not in "iu":
            raise ValueError(
                f"groups: expected integer codes ({len(signal)},), got {codes.dtype} of shape {codes.shape}"
            )
        if not signal.ok.any():
            return broadcast_outcome(np.zeros(len(signal)), mask, dtype=self.dtype)
        return self.of_steps(signal, Steps.of(signal, spans), codes, mask)

    def of_steps(
        self, signal: Signal, steps: Steps, groups: NDArray[np.integer[Any]], mask: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        """Advantages (n, T) of a batch in which some sample is OK."""
        raise NotImplementedError(f"{type(self).__name__}: implements of_steps(signal, steps, groups, mask)")


def spans_to(ends: NDArray[np.int64], row: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Spans (m, 2) that end at rising `ends` and begin where the one before it in the same row ends, or at 0."""
    starts = np.where(np.diff(row, prepend=-1) > 0, 0, np.roll(ends, 1))
    return np.stack([starts, ends], axis=1)


def _dense_ends(dense: Dense, spans: NDArray[np.integer[Any]] | None) -> NDArray[np.int64]:
    size = dense.values.size
    if spans is not None:
        given = np.asarray(spans)
        if given.shape != (size, 2):
            raise ValueError(f"spans: expected shape ({size}, 2), one a dense value; got {given.shape}")
        return check_spans(given, "spans")[:, 1] if size else given[:, 1].astype(np.int64)
    if size and dense.unit not in ("token", "time_step"):
        raise ValueError(f"spans: needed for dense values a {dense.unit}; `credit.token_spans` makes them")
    if dense.spans is not None:
        return dense.spans[:, 1]
    return np.arange(1, size + 1, dtype=np.int64) - dense.offsets[:-1][dense.row_index]


@dataclass
class GroupRelative(Estimator):
    """Every token gets the advantage of its sample's total reward; options as in `group_relative`.

    The total of a sample is its outcome plus the sum of its dense values, so that no reward is lost where
    only one number a sample counts. `dtype` is that of the result; statistics are float64.
    """

    baseline: Baseline = "mean"
    scale: Scale = "std"
    singleton: Singleton = "zero"
    ddof: int = 1
    epsilon: float = 1e-4
    std_floor: float = STD_FLOOR
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_choice(self.baseline, "baseline", BASELINES)
        check_choice(self.scale, "scale", SCALES)
        check_choice(self.singleton, "singleton", SINGLETONS)
        check_normalization(ddof=self.ddof, epsilon=self.epsilon, std_floor=self.std_floor)
        check_dtype(self.dtype)

    def __call__(
        self,
        signal: Signal,
        groups: NDArray[np.integer[Any]],
        mask: NDArray[Any],
        spans: NDArray[np.integer[Any]] | None = None,
    ) -> NDArray[np.floating[Any]]:
        return broadcast_outcome(self.of_samples(signal.total, groups), mask, dtype=self.dtype)

    def of_samples(
        self, rewards: NDArray[np.float64], groups: NDArray[np.integer[Any]]
    ) -> NDArray[np.float64]:
        """Advantage of each sample (n,); a sample that isn't OK has the reward NaN."""
        return group_relative(
            rewards,
            groups,
            baseline=self.baseline,
            scale=self.scale,
            singleton=self.singleton,
            ddof=self.ddof,
            epsilon=self.epsilon,
            std_floor=self.std_floor,
        )


@register("grpo", kind="credit", example="credit: grpo")
def grpo(
    *, ddof: int = 1, epsilon: float = 1e-4, singleton: Singleton = "zero", dtype: str = "float32"
) -> GroupRelative:
    """Group-relative advantages: `A_{i,t} = (r_i − mean_g) / (std_g + epsilon)` at every token of sample i.

    The paper names no `ddof` and no `epsilon`; the defaults are those of huggingface/trl.

    Z. Shao et al., "DeepSeekMath: pushing the limits of mathematical reasoning in open language models",
    arXiv 2402.03300.
    """
    return GroupRelative("mean", "std", singleton, ddof, epsilon, dtype=dtype)


@register("dr_grpo", kind="credit", example="credit: dr_grpo")
def dr_grpo(*, singleton: Singleton = "zero", dtype: str = "float32") -> GroupRelative:
    """Group-relative advantages without a std: `A_{i,t} = r_i − mean_g` at every token of sample i.

    Dividing by the std gives questions that are almost always or almost never solved a larger weight. The
    method's other half, a loss that isn't divided by the length of the completion, belongs to the trainer.

    Z. Liu et al., "Understanding R1-Zero-like training: a critical perspective", arXiv 2503.20783, repository
    sail-sg/understand-r1-zero.
    """
    return GroupRelative("mean", "none", singleton, dtype=dtype)


@register("rloo", kind="credit", example="credit: rloo")
def rloo(*, singleton: Singleton = "zero", dtype: str = "float32") -> GroupRelative:
    """Leave-one-out: `A_{i,t} = r_i − Σ_{j≠i} r_j / (k_g − 1)` at every token of sample i.

    A. Ahmadian et al., "Back to basics: revisiting REINFORCE style optimization for learning from human
    feedback in LLMs", arXiv 2402.14740.
    """
    return GroupRelative("leave_one_out", "none", singleton, dtype=dtype)


@register("batch_std", kind="credit", example="credit: batch_std")
def batch_std(
    *,
    of: Scale = "batch_std",
    ddof: int = 1,
    epsilon: float = 1e-4,
    singleton: Singleton = "zero",
    dtype: str = "float32",
) -> GroupRelative:
    """Group baseline, batch scale: `A_{i,t} = (r_i − mean_g) / (std + epsilon)` at every token of sample i.

    `of="batch_std"` takes the std of all rewards of the batch (huggingface/trl, `scale_rewards="batch"`);
    `of="advantage_std"` that of all `r_j − mean_{g(j)}` (REINFORCE++ with baseline).

    J. Hu et al., "REINFORCE++: stabilizing critic-free policy optimization with global advantage
    normalization", arXiv 2501.03262.
    """
    check_choice(of, "batch_std.of", ("batch_std", "advantage_std"))
    return GroupRelative("mean", of, singleton, ddof, epsilon, dtype=dtype)


@register("step_group_relative", kind="credit", example="credit: step_group_relative")
@dataclass
class StepGroupRelative(StepEstimator):
    """Outcome advantage plus the discounted return of step rewards that are normalised over the group.

        z_{i,j} = (r_{i,j} − mean_g) / (std_g + epsilon)       mean and std over all step rewards of the group
        G_{i,j} = z_{i,j} + discount · G_{i,j+1}
        A_{i,t} = A_i + step_weight · G_{i,j(t)}               j(t): the first step that ends after token t

    `A_i` is the group-relative advantage of the outcome channel alone. The steps of a row are taken in the
    order of their ends, and a token before, between or inside steps gets the return from the next step's end
    on; a token after the last step gets `A_i`. Step rewards that are equal over the group up to rounding
    (`std_floor`) give 0. With `discount=1` and an outcome channel of 0 this is the process supervision of the
    paper.

    Tokens of a step come from `spans`. A dense channel whose unit is `token` or `time_step` needs none: its
    own spans are used, or value j of a row is token j.

    Raises `ValueError` where the signal has no dense channel though samples were scored, or where the unit
    needs spans that aren't given.

    Z. Shao et al., "DeepSeekMath: pushing the limits of mathematical reasoning in open language models",
    section 4.1.3, arXiv 2402.03300.
    """

    discount: float = 1.0
    step_weight: float = 1.0
    singleton: Singleton = "zero"
    ddof: int = 1
    epsilon: float = 1e-4
    std_floor: float = STD_FLOOR
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_number(self.discount, "discount", 0.0, 1.0)
        check_number(self.step_weight, "step_weight")
        self._outcome = GroupRelative(
            "mean", "std", self.singleton, self.ddof, self.epsilon, self.std_floor, self.dtype
        )

    def of_steps(
        self, signal: Signal, steps: Steps, groups: NDArray[np.integer[Any]], mask: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        outcome = self._outcome.of_samples(signal.outcome, groups)
        normal = group_statistics(
            steps.values, groups[steps.row], ddof=self.ddof, std_floor=self.std_floor
        ).z_scores(self.epsilon)
        returns = self.step_weight * discounted_returns(normal, self.discount, offsets=steps.offsets)
        return spread_steps(returns, steps.spans, mask, steps.offsets, base=outcome, dtype=self.dtype)


def check_dtype(dtype: str) -> None:
    """Raise `ValueError` where `dtype` isn't a float type of NumPy."""
    try:
        known = np.dtype(dtype).kind == "f"
    except TypeError:
        known = False
    if not known:
        raise ValueError(f"dtype: expected a float type of NumPy, got {dtype!r}")
