"""Transforms that compare a value with its group or its batch."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.shape.channel import Channel, ChannelTransform, Floats
from guerdon.shape.statistics import STD_FLOOR, check_normalization, group_statistics


@register("center", kind="transform", example="{transform: center, over: group}")
class Center(ChannelTransform):
    """Subtract the mean of the group, or of the batch: `x_i ↦ x_i − mean`.

    Rows that aren't OK stay as they are and don't enter the mean. A group of one gives 0.
    """

    name = "center"

    def __init__(self, over: Literal["group", "batch"] = "group", channel: Channel = "outcome") -> None:
        super().__init__(channel)
        check_choice(over, "center.over", ("group", "batch"))
        self.over = over
        self.scope = over

    def map(self, values: Floats, groups: NDArray[np.int64], context: Context) -> tuple[Floats, float]:
        codes = groups if self.over == "group" else np.zeros_like(groups)
        return group_statistics(values, codes).deviation, 1.0


class Normalize(ChannelTransform):
    """`x_i ↦ (x_i − mean) / (std + epsilon)` over `scope`; see `GroupNormalize` and `BatchNormalize`."""

    def __init__(
        self,
        *,
        ddof: int = 1,
        epsilon: float = 1e-6,
        std_floor: float = STD_FLOOR,
        channel: Channel = "outcome",
    ) -> None:
        super().__init__(channel)
        check_normalization(ddof=ddof, epsilon=epsilon, std_floor=std_floor)
        self.ddof, self.epsilon, self.std_floor = ddof, epsilon, std_floor

    def map(self, values: Floats, groups: NDArray[np.int64], context: Context) -> tuple[Floats, Floats]:
        codes = groups if self.scope == "group" else np.zeros_like(groups)
        statistics = group_statistics(values, codes, ddof=self.ddof, std_floor=self.std_floor)
        flat = statistics.flat[statistics.codes]
        std = statistics.std[statistics.codes]
        return statistics.z_scores(self.epsilon), np.where(
            flat, 0.0, 1.0 / np.where(flat, 1.0, std + self.epsilon)
        )


@register("group_normalize", kind="transform", example="{transform: group_normalize, ddof: 1}")
class GroupNormalize(Normalize):
    """z-score within each group: `x_i ↦ (x_i − mean_g) / (std_g + epsilon)`.

    A group of one, and a group whose std is at most `std_floor · |mean_g|` (equal values up to rounding),
    gives 0. Rows that aren't OK stay as they are and enter neither mean nor std. `ddof=1` is the sample std.

    Raises `ValueError` where `ddof`, `epsilon` or `std_floor` is negative.
    """

    name = "group_normalize"
    scope = "group"


@register("batch_normalize", kind="transform", example="{transform: batch_normalize}")
class BatchNormalize(Normalize):
    """z-score over the whole batch: `x_i ↦ (x_i − mean) / (std + epsilon)`.

    A batch with one OK row, or with equal values up to rounding (std at most `std_floor · |mean|`), gives 0.
    Rows that aren't OK stay as they are and enter neither mean nor std. `ddof=1` is the sample std.

    Raises `ValueError` where `ddof`, `epsilon` or `std_floor` is negative.
    """

    name = "batch_normalize"
    scope = "batch"
