"""A reward as verl's custom reward function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from guerdon.connect.scorer import Scorer
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Signal, Status


def as_compute_score(
    reward: Reward, *, missing: float, prompt: str = "prompt", group: str = "index", **options: Any
) -> Callable[..., Any]:
    """The reward as the function that `custom_reward_function.path` and `.name` point to.

    It takes both of verl's forms. The singular arguments (`data_source`, `solution_str`, `ground_truth`,
    `extra_info`) give a dict; the plural ones of the `batch` reward manager (`data_sources`, …) a list of dicts:

        {"score": total, PART: total of the part, …, "status": "ok" | "abstained" | "failed" | "timed_out"}

    verl trains on `score`, the outcome plus the sum of the dense values, and logs the numbers beside it; all dicts have
    the same keys. A part without a value is NaN.

    `missing`: the score of a sample that abstained, failed or ran out of time. verl has no way to say "no value", so
    the caller has to say what it counts as; its `status` tells it apart from a sample that earned that number.
    · `prompt`, `group`: keys of `extra_info` that hold the prompt and tell prompts apart; verl passes neither
    itself. · `options`: keyword arguments of `Engine`, such as `workers`, `timeout` and `cache`.

    The ground truth is the sample's reference; `data_source` and `extra_info` are its `extra`. There is no training
    step in the context. One engine is made in each process on first use; calls from several threads share it.

    Raises `ValueError` where `missing` isn't finite, columns differ in length, or a reward that compares samples is
    given some whose `extra_info` doesn't tell their group; `TypeError` where it is given one sample at a time.

    Repository volcengine/verl.
    """
    if not math.isfinite(missing):
        raise ValueError(f"as_compute_score.missing: expected a finite number, got {missing}")
    scorer = Scorer(reward, **options)

    def chat(source: Any, solution: str, truth: Any, info: Mapping[str, Any] | None) -> Chat:
        extra = {"data_source": source, **(info or {})}
        told = extra.get(group)
        reference = truth.tolist() if isinstance(truth, np.ndarray) else truth
        return Chat(
            extra.get(prompt) or "", solution, reference, None if told is None else f"{source}:{told}", extra
        )

    def rows(signal: Signal) -> list[dict[str, Any]]:
        parts = scorer.parts(signal, "score", "status")
        scores = np.where(signal.ok, signal.total, missing)
        return [
            {
                "score": float(scores[i]),
                **{name: float(values[i]) for name, values in parts.items()},
                "status": Status(int(signal.status[i])).name.lower(),
            }
            for i in range(len(signal))
        ]

    def compute_score(
        data_source: Any = None,
        solution_str: str | None = None,
        ground_truth: Any = None,
        extra_info: Mapping[str, Any] | None = None,
        *,
        data_sources: Sequence[Any] | None = None,
        solution_strs: Sequence[str] | None = None,
        ground_truths: Sequence[Any] | None = None,
        extra_infos: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> Any:
        if solution_str is not None:
            return rows(scorer.score_one(chat(data_source, solution_str, ground_truth, extra_info)))[0]
        if solution_strs is None:
            raise ValueError("compute_score: expected solution_str or solution_strs, got neither")
        columns = [
            [None] * len(solution_strs) if column is None else column
            for column in (data_sources, ground_truths, extra_infos)
        ]
        if any(len(column) != len(solution_strs) for column in columns):
            raise ValueError(
                f"compute_score: expected {len(solution_strs)} entries in every column as there are solution_strs, "
                f"got {[len(column) for column in columns]}"
            )
        samples = [
            chat(source, solution, truth, info)
            for solution, source, truth, info in zip(solution_strs, *columns, strict=True)
        ]
        if reward.scope != "sample" and any(sample.group is None for sample in samples):
            raise ValueError(
                f"{reward.name}: a reward of scope {reward.scope!r} compares samples with one prompt, and extra_info "
                f"has no {group!r} that tells prompts apart; name the key with group="
            )
        return rows(scorer.score(samples))

    return compute_score
