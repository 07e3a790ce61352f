"""A reward as OpenRLHF's reward function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from guerdon.connect.missing import group_mean
from guerdon.connect.scorer import Scorer
from guerdon.core.extras import need
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat, group_codes
from guerdon.core.signal import Signal, Status


def as_reward_func(
    reward: Reward, *, missing: float, special: Sequence[str] = (), **options: Any
) -> Callable[..., dict[str, Any]]:
    """The reward as `reward_func` in the file that `--remote_rm_url` (`--reward.remote_url`) points to.

    `reward_func(queries, prompts, labels)` returns float32 tensors (n,): `rewards` and `scores`, both the outcome plus
    the sum of the dense values, and in `extra_logs` the total of every part (NaN where it has none) and
    `status/abstained`, `status/failed` and `status/timed_out`, each 1 or 0.

    The completion is what stands in the query behind the prompt; the label is the sample's reference. OpenRLHF
    decodes queries with special tokens: those named in `special`, as `["<|im_end|>"]`, are cut off the end. A query
    that doesn't hold its prompt fails: its completion isn't known.

    A sample that isn't OK gets the mean of the OK samples of its prompt in the same call, and where there are none
    `missing`. OpenRLHF calls the function with one sample at a time (as of 0.11), so there it is always `missing`.
    `options`: keyword arguments of `Engine`. One engine is made in each process on first use, and calls from several
    threads share it. There is no training step in the context.

    Raises `ValueError` where `missing` isn't finite, a special token is empty or lengths differ, and `TypeError` for a reward that compares
    samples: OpenRLHF doesn't bring a group together.

    Repository OpenRLHF/OpenRLHF.
    """
    if not math.isfinite(missing):
        raise ValueError(f"as_reward_func.missing: expected a finite number, got {missing}")
    if isinstance(special, str) or not all(special):
        raise ValueError(f"as_reward_func.special: expected a list of token texts, got {special!r}")
    scorer = Scorer(reward, **options)
    if reward.scope != "sample":
        raise TypeError(
            f"{reward.name}: a reward of scope {reward.scope!r} compares samples, but OpenRLHF scores them one by one"
        )

    def score(samples: Sequence[Chat | None]) -> Signal:
        """Rows without a sample fail."""
        known = [sample for sample in samples if sample is not None]
        signal = scorer.score_one(known[0]) if len(known) == len(samples) == 1 else scorer.score(known)
        lost = np.array([sample is None for sample in samples])
        signal = signal.take(np.where(lost, -1, np.cumsum(~lost) - 1))
        reasons = dict.fromkeys(np.flatnonzero(lost).tolist(), "the query doesn't hold its prompt")
        return signal.replace(
            status=np.where(lost, Status.FAILED, signal.status), reasons={**signal.reasons, **reasons}
        )

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_: Any
    ) -> dict[str, Any]:
        if not len(queries) == len(prompts) == len(labels):
            raise ValueError(
                "reward_func: expected as many prompts and labels as queries, got "
                f"{len(queries)} queries, {len(prompts)} prompts and {len(labels)} labels"
            )
        samples = [
            None if prompt not in query else Chat(prompt, _completion(query, prompt, special), label)
            for query, prompt, label in zip(queries, prompts, labels, strict=True)
        ]
        signal = score(samples)
        codes = group_codes([Chat(prompt, "") for prompt in prompts])
        torch = need("torch", "train")

        def tensor(values: Any) -> Any:
            return torch.tensor(np.asarray(values), dtype=torch.float32)

        rewards = tensor(group_mean(signal, codes, missing))
        logs = {name: tensor(values) for name, values in scorer.parts(signal, "reward", "score").items()}
        for status in (Status.ABSTAINED, Status.FAILED, Status.TIMED_OUT):
            logs[f"status/{status.name.lower()}"] = tensor(signal.status == status)
        return {"rewards": rewards, "scores": rewards, "extra_logs": logs}

    return reward_func


def _completion(query: str, prompt: str, special: Sequence[str]) -> str:
    text = query[query.index(prompt) + len(prompt) :]
    while (token := next((token for token in special if text.endswith(token)), None)) is not None:
        text = text.removesuffix(token)
    return text
