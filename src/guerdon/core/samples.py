"""The three kinds of sample that a reward can be asked about: `Chat`, `Episode` and `Media`.

They share one small face: `group` (samples that answer the same prompt), `reference` (what a correct answer
is checked against), `extra` (any other columns) and `steps()` (the parts that a dense reward can speak of).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from guerdon.core.messages import Message, ToolCall, as_messages, check_messages, message_text, tool_calls_of

Group: TypeAlias = str | int | None
Unit: TypeAlias = Literal["token", "step", "turn", "time_step"]
UNITS: tuple[Unit, ...] = ("token", "step", "turn", "time_step")


class Step(NamedTuple):
    """One part of a sample: the half-open interval `[start, end)` and the text there.

    What the interval counts depends on the unit: completion messages for `turn`, characters of
    `Chat.text` for `step`, time steps for `time_step`.
    """

    start: int
    end: int
    text: str


Segmenter: TypeAlias = Callable[[str], Iterable[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Chat:
    """A prompt and what a language model or agent made of it.

    `prompt` and `completion` are text, or OpenAI-style messages (`role`, `content`, `tool_calls`, and
    `role="tool"` for tool results). A completion of several messages is a multi-turn rollout.

    Raises `TypeError` or `ValueError` where either is neither text nor a list of well-formed messages.
    """

    prompt: str | Sequence[Message]
    completion: str | Sequence[Message]
    reference: Any = None
    group: Group = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if type(self.prompt) is not str:
            check_messages(self.prompt, "prompt")
        if type(self.completion) is not str:
            check_messages(self.completion, "completion", needs_assistant=True)

    @property
    def prompt_messages(self) -> Sequence[Message]:
        """The prompt as messages; a text prompt is one user message."""
        return as_messages(self.prompt, "user")

    @property
    def completion_messages(self) -> Sequence[Message]:
        """The completion as messages; a text completion is one assistant message."""
        return as_messages(self.completion, "assistant")

    @property
    def text(self) -> str:
        """Everything that the assistant wrote, turns joined by a newline."""
        completion = self.completion
        if isinstance(completion, str):
            return completion
        return "\n".join(message_text(m) for m in completion if m["role"] == "assistant")

    @property
    def final(self) -> str:
        """What the last assistant turn wrote: where a final answer is looked for."""
        completion = self.completion
        if isinstance(completion, str):
            return completion
        return next(message_text(m) for m in reversed(completion) if m["role"] == "assistant")

    @property
    def tool_calls(self) -> list[ToolCall]:
        """Structured tool calls of all assistant turns, in order; empty for a text completion."""
        if isinstance(self.completion, str):
            return []
        return [call for m in self.completion for call in tool_calls_of(m)]

    def steps(self, segmenter: Segmenter | None = None) -> list[Step]:
        """Turns of the completion, or the spans that `segmenter` finds in `text`.

        Without a segmenter: one `Step` per assistant message; `start` and `end` count completion messages.
        With one: `segmenter(text)` yields `(start, end)` character offsets into `text`.
        """
        if segmenter is not None:
            text = self.text
            return [Step(start, end, text[start:end]) for start, end in segmenter(text)]
        return [
            Step(i, i + 1, message_text(m))
            for i, m in enumerate(self.completion_messages)
            if m["role"] == "assistant"
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """One trajectory of an environment with T steps.

    `observations` (T+1, …) · `actions` (T, …) · `rewards` (T,) float64, the environment's own ·
    `terminated`, `truncated`: how it ended · `infos`: arrays or lists with one entry a step.

    Raises `ValueError` where the lengths don't fit each other, or where both ends are set.
    """

    observations: NDArray[Any]
    actions: NDArray[Any]
    rewards: NDArray[np.float64]
    terminated: bool = False
    truncated: bool = False
    infos: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reference: Any = None
    group: Group = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        for name in ("observations", "actions"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        object.__setattr__(self, "rewards", np.asarray(self.rewards, dtype=np.float64))
        if self.rewards.ndim != 1:
            raise ValueError(f"Episode.rewards: expected shape (T,), got {self.rewards.shape}")
        length = self.rewards.shape[0]
        if self.actions.ndim < 1 or self.actions.shape[0] != length:
            raise ValueError(
                f"Episode.actions: expected {length} rows as in rewards, got {self.actions.shape}"
            )
        if self.observations.ndim < 1 or self.observations.shape[0] != length + 1:
            raise ValueError(
                f"Episode.observations: expected T+1 = {length + 1} rows, got {self.observations.shape}"
            )
        if self.terminated and self.truncated:
            raise ValueError("Episode: terminated and truncated are both set; an episode ends in one way")

    def __len__(self) -> int:
        return int(self.rewards.shape[0])

    def steps(self) -> list[Step]:
        """One `Step` per time step; the text is empty."""
        return [Step(t, t + 1, "") for t in range(len(self))]

    @classmethod
    def from_transitions(
        cls,
        first_observation: Any,
        transitions: Iterable[tuple[Any, Any, Any, bool, bool, Any]],
        **fields: Any,
    ) -> Episode:
        """Build from what a Gymnasium loop sees.

        `transitions` yields `(action, observation, reward, terminated, truncated, info)`, that is the action
        and what `env.step(action)` returned.
        """
        observations, actions, rewards, infos = [first_observation], list[Any](), list[float](), list[Any]()
        terminated = truncated = False
        for action, observation, reward, terminated, truncated, info in transitions:  # noqa: B007
            observations.append(observation)
            actions.append(action)
            rewards.append(float(reward))
            infos.append(info)
        keys = {key for info in infos for key in info}
        return cls(
            observations=np.asarray(observations),
            actions=np.asarray(actions),
            rewards=np.asarray(rewards, dtype=np.float64),
            terminated=bool(terminated),
            truncated=bool(truncated) and not terminated,
            infos={key: [info.get(key) for info in infos] for key in sorted(keys)},
            **fields,
        )

    @classmethod
    def from_minari(cls, episode: Any, **fields: Any) -> Episode:
        """Convert a `minari.EpisodeData`: the flags of its last step say how the episode ended."""
        terminations = np.asarray(episode.terminations, dtype=bool)
        truncations = np.asarray(episode.truncations, dtype=bool)
        terminated = bool(terminations.size and terminations[-1])
        return cls(
            observations=episode.observations,
            actions=episode.actions,
            rewards=episode.rewards,
            terminated=terminated,
            truncated=bool(truncations.size and truncations[-1]) and not terminated,
            infos=dict(episode.infos or {}),
            **fields,
        )

    def to_minari(self) -> dict[str, Any]:
        """The fields of a `minari` episode buffer, with one flag a step."""
        ends = np.zeros((2, len(self)), dtype=bool)
        if len(self):
            ends[:, -1] = self.terminated, self.truncated
        return {
            "observations": self.observations,
            "actions": self.actions,
            "rewards": self.rewards,
            "terminations": ends[0],
            "truncations": ends[1],
            "infos": dict(self.infos),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """A prompt and the image, frames or sound made from it, with the latents that made it where known.

    `image` (H, W, C), `frames` (T, H, W, C), `audio` (samples,) or (samples, channels). One of them is needed:
    `ValueError` otherwise.
    """

    prompt: str
    image: Any = None
    frames: Any = None
    audio: Any = None
    latents: Any = None
    reference: Any = None
    group: Group = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if type(self.prompt) is not str:
            raise TypeError(f"Media.prompt: expected text, got {type(self.prompt).__name__}")
        if self.image is None and self.frames is None and self.audio is None:
            raise ValueError("Media: expected one of image, frames or audio, got none")

    def steps(self) -> list[Step]:
        """One `Step` per frame of a video; a still image or a sound is one step."""
        count = 1 if self.frames is None else len(self.frames)
        return [Step(t, t + 1, "") for t in range(count)]


Sample: TypeAlias = Chat | Episode | Media


def group_codes(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Group of each sample as an integer code (n,), numbered in order of first appearance.

    Where `group` is None, samples with the same prompt form a group; an `Episode` without one stands alone.
    """
    codes: dict[Any, int] = {}
    result = np.empty(len(samples), dtype=np.int64)
    for i, sample in enumerate(samples):
        key: Any
        if sample.group is not None:
            key = ("group", sample.group)
        elif isinstance(sample, Episode):
            key = ("row", i)
        elif isinstance(sample.prompt, str):
            key = ("prompt", sample.prompt)
        else:
            key = ("prompt", repr(sample.prompt))
        result[i] = codes.setdefault(key, len(codes))
    return result


def group_rows(samples: Sequence[Sample]) -> list[list[int]]:
    """Row numbers of each group, groups in order of first appearance."""
    codes = group_codes(samples)
    rows: list[list[int]] = [[] for _ in range(int(codes.max()) + 1 if codes.size else 0)]
    for i, code in enumerate(cast("list[int]", codes.tolist())):
        rows[code].append(i)
    return rows
