"""Calls of a reward in which whatever it raises or returns becomes a value or a reason."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from guerdon.core.context import Context
from guerdon.core.samples import Sample
from guerdon.core.signal import Abstain, Failure, Signal, Value, as_value

if TYPE_CHECKING:
    from guerdon.core.reward import Reward


def explain(error: BaseException) -> str:
    """One line for a reason: the exception's type and the first 500 characters of its text."""
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def score_guarded(reward: Reward, sample: Sample, context: Context) -> Value:
    """`reward.score` with whatever it raises turned into a value."""
    try:
        returned = reward.score(sample, context)
    except Abstain as abstention:
        return abstention
    except Exception as error:
        return Failure(explain(error))
    if type(returned) is float and returned - returned == 0.0:
        return returned
    if inspect.iscoroutine(returned):
        return finish_coroutine(returned)
    return as_value(returned)


def finish_coroutine(coroutine: Any) -> Value:
    """Run one async score to its end where no loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        try:
            return as_value(asyncio.run(coroutine))
        except Abstain as abstention:
            return abstention
        except Exception as error:
            return Failure(explain(error))
    coroutine.close()
    return Failure("an async reward can't be called inside a running event loop; use guerdon.score")


def score_group_guarded(reward: Reward, samples: Sequence[Sample], context: Context) -> list[Value]:
    """`reward.score_group` with whatever it raises turned into one value a sample."""
    try:
        returned = reward.score_group(samples, context)
    except Abstain as abstention:
        return [abstention] * len(samples)
    except Exception as error:
        return [Failure(explain(error))] * len(samples)
    if isinstance(returned, Signal):
        found: list[Value] = [returned.value(i) for i in range(len(returned))]
    elif isinstance(returned, (str, bytes)) or not hasattr(returned, "__len__"):
        return [
            Failure(f"score_group returned {type(returned).__name__}, expected one value a sample")
        ] * len(samples)
    else:
        found = [as_value(value) for value in returned]
    if len(found) != len(samples):
        return [Failure(f"score_group returned {len(found)} values for {len(samples)} samples")] * len(
            samples
        )
    return found


def score_batch_guarded(reward: Reward, samples: Sequence[Sample], context: Context) -> Signal:
    """`reward.score_batch`; an exception fails every row with its reason, and a wrong length is an error of the reward."""
    try:
        signal = reward.score_batch(samples, context)
    except Abstain as abstention:
        return Signal.from_values([abstention] * len(samples))
    except Exception as error:
        return Signal.failed(len(samples), explain(error))
    checked: Any = signal
    if not isinstance(checked, Signal):
        return Signal.failed(
            len(samples), f"score_batch returned {type(checked).__name__}, expected guerdon.Signal"
        )
    if len(signal) != len(samples):
        return Signal.failed(
            len(samples), f"score_batch returned {len(signal)} rows for {len(samples)} samples"
        )
    return signal
