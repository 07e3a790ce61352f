"""Chats whose steps have labels: what a process reward model is fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_count
from guerdon.core.messages import Message
from guerdon.core.samples import Chat, Segmenter
from guerdon.models.step_examples import StepExample


@dataclass(frozen=True, slots=True, eq=False)
class StepLabels:
    """A sample and the labels of k of its steps.

    `spans` (k, 2): the characters of each in `Chat.text`, half-open; they may overlap, and needn't cover the text · `labels`
    (k,) float64: finite, or NaN for a step without one.

    Raises `ValueError` for other shapes, a span beyond the text, or an infinite label.
    """

    sample: Chat
    spans: NDArray[np.int64]
    labels: NDArray[np.float64]

    def __post_init__(self) -> None:
        spans = np.asarray(self.spans).reshape(-1, 2)
        if spans.size and spans.dtype.kind not in "iu":
            raise ValueError(f"spans: expected integers (k, 2), got {spans.dtype}")
        object.__setattr__(self, "spans", spans.astype(np.int64))
        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.float64))
        if self.labels.shape != (len(self.spans),):
            raise ValueError(
                f"labels: expected shape ({len(self.spans)},), one a step, got {self.labels.shape}"
            )
        if np.isinf(self.labels).any():
            raise ValueError("labels: expected finite numbers, or NaN for none, got an infinite one")
        start, end, length = self.spans[:, 0], self.spans[:, 1], len(self.sample.text)
        if ((start < 0) | (end < start) | (end > length)).any():
            raise ValueError(f"spans: expected 0 <= start <= end <= {length} in every row")

    @classmethod
    def segmented(cls, sample: Chat, labels: ArrayLike, segmenter: Segmenter) -> StepLabels:
        """One label for each step that `segmenter` finds. Raises `ValueError` where it finds another number."""
        return cls(sample, np.asarray(list(segmenter(sample.text)), dtype=np.int64), np.asarray(labels))

    @classmethod
    def joined(
        cls,
        prompt: str | Sequence[Message],
        steps: Sequence[str],
        labels: ArrayLike,
        *,
        separator: str = "\n\n",
    ) -> StepLabels:
        """The steps of a solution, `separator` between them. A step that holds the separator stays one step.

        Raises `ValueError` where there isn't one label a step.
        """
        lengths = [len(step) + len(separator) for step in steps]
        starts = np.cumsum([0, *lengths], dtype=np.int64)[:-1]
        ends = starts + [len(step) for step in steps]
        return cls(Chat(prompt, separator.join(steps)), np.stack([starts, ends], -1), np.asarray(labels))

    @classmethod
    def of_example(
        cls,
        prompt: str | Sequence[Message],
        example: StepExample,
        *,
        separator: str = "\n\n",
        inner: str = "\n",
    ) -> StepLabels:
        """The steps before, without labels, and the one or two to judge as a single labelled step.

        `inner` joins two to one. It has to be without `separator`: the missing boundary is all by which a model that
        reads the last token can tell a pair from its second step. Raises `ValueError` otherwise.

        Teng Wang et al., "Towards Hierarchical Multi-Step Reward Models for Enhanced Reasoning in Large Language Models",
        arXiv 2503.13551, repository tengwang0318/hierarchial_reward_model.
        """
        if separator in inner:
            raise ValueError(f"inner: expected text without the separator {separator!r}, got {inner!r}")
        steps = [*example.previous, inner.join(example.current)]
        labels = np.full(len(steps), np.nan)
        labels[-1] = example.label
        return cls.joined(prompt, steps, labels, separator=separator)


def first_error_labels(steps: int, error: int) -> NDArray[np.float64]:
    """Labels (steps,) of a solution whose first wrong step is known: 1 before it, 0 at it, NaN behind it.

    What follows an error is neither right nor wrong, so it teaches nothing. `error`: its position, −1 where all steps are
    right, as `first_error` gives it. Raises `ValueError` for a position that isn't there or fewer steps than 1.

    Zhenru Zhang et al., "The Lessons of Developing Process Reward Models in Mathematical Reasoning", arXiv 2501.07301.
    """
    check_count(steps, "steps")
    check_count(error, "error", low=-1, high=steps - 1)
    labels = np.ones(steps)
    if error >= 0:
        labels[error], labels[error + 1 :] = 0.0, np.nan
    return labels
