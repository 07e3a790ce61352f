"""Rewards of steps made bounded: what repeats or drags on can't add up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.registry import register
from guerdon.core.signal import Signal
from guerdon.core.transform import Transform
from guerdon.shape.arrays import Array, check_finite, check_offsets, floating
from guerdon.shape.channel import Channel, ChannelTransform, Floats
from guerdon.shape.rows import by_rows


def step_deltas(rewards: Array, offsets: Array) -> Array:
    """What each step is worth more than the next one, except that the last step counts for nothing.

        Δ_k = r_k − r_{k+1}    k < K − 1
        Δ_k = r_k              k = K − 1
        Δ_k = 0                k = K

    The undiscounted return from step k is `r_k` itself for k < K and 0 for the last: bounded whatever the number
    of steps, and repeating a step changes nothing. The last reward is dropped since the outcome covers it; where
    generation was cut off, so is that of the unfinished step. A row of one step gives 0. The sign is current minus
    *next*; next minus current, the progress from step to step, is another method.

    Args:
        rewards: (m,) finite, steps of all rows end to end, in their order.
        offsets: (n+1,) row offsets.

    Returns:
        (m,) in the namespace and dtype of `rewards`, differentiable in torch.

    Raises:
        ValueError: where the offsets don't fit or a reward isn't finite.

    Jiaxuan Gao et al., "On Designing Effective RL Reward at Training Time for LLM Reasoning", arXiv 2410.15115.
    """
    r, xp, dtype = floating(rewards, "rewards", ndim=1)
    check_finite(r, "rewards")
    bounds = check_offsets(offsets, r, "offsets", r.shape[0])

    def deltas(lengths: Array, r: Array) -> Array:
        ends = xp.cumulative_sum(lengths)
        found = xp.concat([r[:-1] - r[1:], xp.zeros_like(r[:1])])
        before_last = ends[lengths > 1] - 2
        found[before_last] = r[before_last]
        found[ends[lengths > 0] - 1] = 0.0
        return found

    return xp.astype(by_rows(deltas, bounds[1:] - bounds[:-1], (r,)), dtype, copy=False)


@register("step_clip", kind="transform", example="{transform: step_clip, threshold: 0.5}")
class StepClip(ChannelTransform):
    """What a step lacks to a threshold, and nothing for what it has above: `r_k ↦ min(r_k − threshold, 0)`.

    No sum of such rewards is above 0, so that longer is never better; the paper takes a threshold under which a
    minority of the first policy's steps fall. A long row can reach −threshold · K: scale accordingly. For
    rewards in [0, 1] a threshold of 0 silences all of them, and one of 1 or more only subtracts a constant.

    Maps the dense channel, or with `channel="outcome"` the outcome. Raises `ValueError` where the threshold isn't
    finite.

    Jiaxuan Gao et al., "On Designing Effective RL Reward at Training Time for LLM Reasoning", arXiv 2410.15115.
    """

    name = "step_clip"

    def __init__(self, threshold: float, channel: Channel = "dense") -> None:
        super().__init__(channel)
        self.threshold = check_number(threshold, "step_clip.threshold")

    def map(self, values: Floats, groups: NDArray[np.int64], context: Context) -> tuple[Floats, None]:
        above = values - self.threshold
        return np.minimum(above, 0.0, out=above), None


@register("step_delta", kind="transform", example="{transform: step_delta}")
class StepDelta(Transform):
    """Each step's reward less that of the next step: `step_deltas` of the dense channel.

    Steps of a row are taken in the order of their ends, or as they stand where the channel has no spans. After
    `step_clip` it is the Clip-Delta of the paper. The return telescopes only without discount: credit shaped
    rewards with `discount=1`. A Signal without a dense channel passes unchanged.

    Jiaxuan Gao et al., "On Designing Effective RL Reward at Training Time for LLM Reasoning", arXiv 2410.15115.
    """

    name = "step_delta"

    def apply(self, signal: Signal, groups: NDArray[np.int64], context: Context) -> Signal:
        dense = signal.dense
        if dense is None:
            return signal
        if dense.spans is None:
            shaped = step_deltas(dense.values, dense.offsets)
        else:
            order = np.lexsort((dense.spans[:, 1], dense.row_index))
            shaped = np.empty_like(dense.values)
            shaped[order] = step_deltas(dense.values[order], dense.offsets)
        return signal.replace(dense=Dense(shaped, dense.offsets, dense.spans, dense.unit))
