"""Clip and Delta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guerdon.core.context import Context
from guerdon.core.dense import Dense
from guerdon.core.signal import Signal, Status
from guerdon.core.transform import Transform
from guerdon.credit.returns import discounted_returns
from guerdon.shape.clip_delta import StepClip, StepDelta

from .registry import adapter


def _shaped(rewards: list[float], *transforms: Transform) -> NDArray[np.float64]:
    signal = Signal(np.zeros(1), np.array([Status.OK]), dense=Dense.from_rows([rewards], "step"))
    for transform in transforms:
        signal = transform.apply(signal, np.zeros(1, dtype=np.int64), Context())
    assert signal.dense is not None
    return signal.dense.row(0)


@adapter("pr_clip_per_step_min_r_k_eta_0")
def clip(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    return _shaped(inputs["rewards"], StepClip(inputs["eta"]))


@adapter("pr_delta_per_step_k_1_k_r_k_r_k_1_if_k_k_1_r")
def delta(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    return _shaped(inputs["rewards"], StepDelta())


@adapter("pr_clip_delta_clip_then_delta")
def clip_delta(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    return _shaped(inputs["rewards"], StepClip(inputs["eta"]), StepDelta())


@adapter("return_each_step_alpha_sum_shaped_rewards")
def returns(inputs: Mapping[str, Any]) -> NDArray[np.float64]:
    shaped = np.array([inputs["shaped"]], dtype=np.float64)
    success = np.array([inputs["success"]], dtype=np.float64)
    return discounted_returns(inputs["alpha"] * shaped, 1.0, bootstrap=success)[0]
