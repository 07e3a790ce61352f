"""A reward as a reward function of an unmodified TRL trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from guerdon.connect.missing import group_mean
from guerdon.core.context import Context
from guerdon.core.messages import Message
from guerdon.core.reward import Reward
from guerdon.core.samples import group_codes
from guerdon.core.signal import Status
from guerdon.engine.run import Engine
from guerdon.train.columns import as_chats

Missing: TypeAlias = Literal["group_mean", "none"]

_NOT_COLUMNS = ("trainer_state", "log_extra", "log_metric", "environments")


def as_reward_func(
    reward: Reward, *, missing: Missing = "group_mean", **options: Any
) -> Callable[..., list[float | None]]:
    """The reward as a function for `reward_funcs` of `trl.GRPOTrainer` and its kin, under the reward's name.

    Dataset columns reach the reward as `reference` (`reference`, `solution` or `answer`) and `extra`, with
    the token ids in `extra["completion_ids"]`; the context has `step` and `total_steps`. The value of a
    completion is the outcome plus the sum of its dense values: a reward function has room for one number.
    `guerdon.train.GRPOTrainer` keeps the dense channel. `options`: keyword arguments of `Engine`, such as
    `workers`, `timeout` and `cache`.

    `missing` says what a completion gets that abstained, failed or ran out of time. TRL has no status, and
    one reward function of several that returns None counts as 0 in their sum.

    - `"group_mean"`: the mean of the OK completions with the same prompt, so that this reward neither favours
      it nor moves the baseline, see `connect.missing.group_mean` for the std. Where none is OK, all get 0, so
      that all advantages are 0. Only completions in the same process are seen.
    - `"none"`: None. Exact where this is the only reward function, and TRL is 1.16 or later: such a
      completion gets advantage 0 and stays out of the baseline.

    Where TRL offers `log_metric`, the shares of the batch go to `<name>/abstained`, `/failed` and
    `/timed_out`.

    Raises `ValueError` for an unknown `missing`.
    """
    if missing not in get_args(Missing):
        raise ValueError(
            f"as_reward_func.missing: expected one of {', '.join(get_args(Missing))}, got {missing!r}"
        )
    engine = Engine(reward, **options)
    name = reward.name

    def reward_func(
        prompts: Sequence[str | Sequence[Message]],
        completions: Sequence[str | Sequence[Message]],
        **columns: Any,
    ) -> list[float | None]:
        given: Mapping[str, Any] = {key: value for key, value in columns.items() if key not in _NOT_COLUMNS}
        samples = as_chats(prompts, completions, given)
        state = columns.get("trainer_state")
        context = Context() if state is None else Context(step=state.global_step, total_steps=state.max_steps)
        signal = engine.score(samples, context)
        log_metric = columns.get("log_metric")
        if log_metric is not None:
            for status, count in signal.counts().items():
                if status is not Status.OK:
                    log_metric(f"{name}/{status.name.lower()}", count / max(1, len(signal)))
        if missing == "none":
            return [float(value) if ok else None for value, ok in zip(signal.total, signal.ok, strict=True)]
        return [float(value) for value in group_mean(signal, group_codes(samples), otherwise=0.0)]

    reward_func.__name__ = name
    reward_func.__doc__ = f"guerdon reward {name!r}"
    return reward_func
