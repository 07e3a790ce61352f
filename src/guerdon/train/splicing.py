"""Failed rollouts that are right up to some step, repaired from there on by another author."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_choice, check_count, check_number
from guerdon.core.samples import Chat, group_codes
from guerdon.core.segments import Segments
from guerdon.core.signal import Signal
from guerdon.models.first_error import first_error

WithoutError: TypeAlias = Literal["skip", "last"]


class Draft(NamedTuple):
    """What a guide goes on from.

    `sample`: the failed rollout · `prefix`: the text of it that stays, and `prefix_ids` (at,), its tokens · `faulty`:
    the text of the first step that goes · `step`: that step's position.
    """

    sample: Chat
    prefix: str
    prefix_ids: NDArray[np.int64]
    faulty: str
    step: int


Guide: TypeAlias = Callable[[Sequence[Draft]], Sequence[Segments | None]]
"""From drafts to what follows their prefixes, the end of the turn included; None where the guide knows nothing.

`log_probs` of the result are those of the guide's own policy, NaN where it doesn't tell. See `text_guide`.
"""


@dataclass(frozen=True)
class Recycling:
    """Which failures are repaired, and from where on.

        e = the first k with p_k < error_below,    e' = max(e − back, 0),    ρ = e' / K         steps counted from 0

    A rollout has failed where its outcome is at most `success`. It is eligible where ρ ≥ `min_quality` and e' ≥ 1. Of a
    group those of highest ρ are repaired, the first of equal ones, and at most `per_group`; at least one failure stays
    as it is, so that the group keeps both outcomes.

    `back`: how many steps more to write again, as a found error may lie early · `without_error`: a failure in which no
    step is found wrong is left alone (`skip`), or its last step is taken for wrong (`last`) · `max_successes`: leave
    groups alone that have more right rollouts than this; None for no limit · `tries`: how often the guide is asked for
    a repair that turns out right · `max_tokens`: of a repaired completion · `whole`: the baseline that has the eligible
    rollout written anew from its start.

    The choices of the paper aren't known; these are the ones of a reference interpretation.

    Raises `ValueError` for an option out of its range.
    """

    success: float = 0.0
    error_below: float = 0.5
    min_quality: float = 0.5
    back: int = 0
    without_error: WithoutError = "skip"
    per_group: int = 1
    max_successes: int | None = None
    tries: int = 1
    max_tokens: int | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        check_number(self.success, "success")
        check_number(self.error_below, "error_below")
        check_number(self.min_quality, "min_quality", 0.0, 1.0)
        check_choice(self.without_error, "without_error", get_args(WithoutError))
        check_count(self.back, "back", low=0)
        check_count(self.per_group, "per_group")
        check_count(self.tries, "tries")
        for name, low in (("max_successes", 0), ("max_tokens", 1)):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name, low=low)


class Repair(NamedTuple):
    """`segments`: the repaired completion, of which the first `kept` tokens are the policy's own · `quality`: its ρ."""

    segments: Segments
    kept: int
    quality: float


class Recycled(NamedTuple):
    """A batch with its repairs in the place of the failures.

    `samples`, `signal`: of all n rollouts; a repaired one has its tokens in `extra["completion_ids"]` · `repairs`: by
    row · `reasons`: by row, why a failure that was eligible, or whose steps couldn't be judged, is left as it was.
    """

    samples: list[Chat]
    signal: Signal
    repairs: Mapping[int, Repair]
    reasons: Mapping[int, str]


def recycle(
    samples: Sequence[Chat],
    signal: Signal,
    process: Signal,
    guide: Guide,
    score: Callable[[Sequence[Chat]], Signal],
    segment: Callable[[Chat], Segments],
    options: Recycling | None = None,
) -> Recycled:
    """Repair failures from their first wrong step on, and put those that turn out right in their place.

    What stays of a rollout are the tokens in front of the first one that reaches into the wrong step, unchanged; the
    guide's tokens follow, with the provenance `Source.OFF_POLICY` in `Repair.segments`. A repair is dropped where the
    guide has none, repeats the prefix, is too long, or isn't right by `score`: the failure then stays.

    Args:
        samples: n rollouts, with their groups; those of several turns or with tool calls are left alone.
        signal: of them; rollouts that aren't OK are neither right nor failed.
        process: of them, with dense values of unit `step` and their spans, such as that of a process reward model or
            of a checker.
        guide: asked for all drafts together, up to `tries` times.
        score: of repaired samples, by the reward that gave `signal`, one that looks at each sample alone.
        segment: the tokens of a sample. Raises `ValueError` where they can't be told.
        options: `Recycling()` by default.

    Raises:
        ValueError: on signals that don't fit the samples, dense values of another kind, or a guide that doesn't answer
            every draft.

    "Recycling Failures: Salvaging Exploration in RLVR via Fine-Grained Off-Policy Guidance" (SCOPE), arXiv 2602.24110.
    """
    options = options or Recycling()
    if process.dense is None and process.ok.any():
        raise ValueError("process: expected dense values of unit 'step', got none")
    points, quality = _splice_points(samples, process, options)
    right = signal.ok & (signal.outcome > options.success)
    failed = signal.ok & ~right
    reasons = {
        i: process.reasons.get(i, "its steps have no values")
        for i in np.flatnonzero(failed & ~process.ok).tolist()
    }
    drafts, tokens = dict[int, Draft](), dict[int, Segments]()
    for i in np.flatnonzero(eligible(quality, right, failed, group_codes(samples), options)).tolist():
        try:
            tokens[i] = segment(samples[i])
            drafts[i] = _draft(samples[i], tokens[i], process, i, int(points[i]), options.whole)
        except ValueError as error:
            reasons[i] = str(error)
    repairs, chats, scored = dict[int, Repair](), list(samples), [signal]
    for _ in range(options.tries):
        pending = {i: draft for i, draft in drafts.items() if i not in repairs}
        found, why = _spliced(guide, pending, tokens, options)
        reasons.update(why)
        if not found:
            continue
        fixed = {i: _with_completion(samples[i], whole) for i, whole in found.items()}
        values = score(list(fixed.values()))
        good = values.ok & (values.outcome > options.success)
        reasons.update({i: "the repair isn't right" for i in fixed})
        for i in np.asarray(list(found))[good].tolist():
            repairs[i] = Repair(found[i], len(drafts[i].prefix_ids), float(quality[i]))
            chats[i] = fixed[i]
            del reasons[i]
        scored.append(values.take(np.flatnonzero(good)))
    order = np.arange(len(samples))
    order[list(repairs)] = len(samples) + np.arange(len(repairs))
    return Recycled(chats, Signal.concat(scored).take(order), repairs, reasons)


def eligible(
    quality: NDArray[np.float64],
    right: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    groups: NDArray[np.int64],
    options: Recycling,
) -> NDArray[np.bool_]:
    """Which failures (n,) to repair, see `Recycling`: `quality` is ρ, NaN or 0 where nothing can stay; all are (n,)."""
    chosen = np.zeros(len(quality), dtype=bool)
    candidates = failed & (quality > 0) & (quality >= options.min_quality)
    limit = len(quality) if options.max_successes is None else options.max_successes
    for code in np.unique(groups[candidates]):
        mine = groups == code
        if (right & mine).sum() > limit:
            continue
        rows = np.flatnonzero(candidates & mine)
        best = rows[np.argsort(-quality[rows], kind="stable")]
        chosen[best[: min(options.per_group, int((failed & mine).sum()) - 1)]] = True
    return chosen


def text_guide(write: Callable[[Sequence[Draft]], Sequence[str | None]], tokenizer: Any) -> Guide:
    """A guide from a function that continues texts, such as a call of a stronger model.

    Each continuation is encoded on its own and ended by the tokenizer's end of turn; its probabilities aren't known.
    """

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=True))

    def guide(drafts: Sequence[Draft]) -> list[Segments | None]:
        texts = write(drafts)
        return [
            None
            if text is None
            else Segments.from_ids(
                [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id], decode
            )
            for text in texts
        ]

    return guide


def _splice_points(
    samples: Sequence[Chat], process: Signal, options: Recycling
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The step (n,) at which each sample would be cut, and ρ (n,), NaN where it can't be."""
    none = np.full(len(samples), -1), np.full(len(samples), np.nan)
    if len(process) != len(samples):
        raise ValueError(f"process: expected {len(samples)} rows, got {len(process)}")
    dense = process.dense
    if dense is None:
        return none
    if dense.unit != "step" or dense.spans is None:
        raise ValueError(f"process: expected dense values of unit step with spans, got unit {dense.unit!r}")
    found = first_error(dense.values, dense.offsets, options.error_below)
    counts = dense.lengths
    if options.without_error == "last":
        found = np.where(found < 0, counts - 1, found)
    one_turn = np.array([len(s.completion_messages) == 1 and not s.tool_calls for s in samples], dtype=bool)
    usable = process.ok & one_turn & (found >= 0)
    points = np.where(usable, np.maximum(found - options.back, 0), none[0])
    return points, np.where(usable, points / np.maximum(counts, 1), none[1])


def _draft(sample: Chat, tokens: Segments, process: Signal, i: int, step: int, whole: bool) -> Draft:
    assert process.dense is not None
    spans = process.dense.row_spans(i)
    assert spans is not None
    start, end = spans[step].tolist()
    reached = np.flatnonzero(tokens.characters[:, 1] > start)
    if end > len(tokens.text) or not reached.size:
        raise ValueError(f"step {step} ends at character {end}, the text has {len(tokens.text)}")
    at = 0 if whole else int(reached[0])
    if at == 0 and not whole:
        raise ValueError("no token lies in front of the wrong step")
    prefix = tokens.text[: int(tokens.characters[:at, 1].max(initial=0))]
    return Draft(sample, prefix, tokens.ids[:at], sample.text[start:end], step)


def _spliced(
    guide: Guide, drafts: Mapping[int, Draft], tokens: Mapping[int, Segments], options: Recycling
) -> tuple[dict[int, Segments], dict[int, str]]:
    """The repaired completions of the rows that have one, and why the others have none."""
    suffixes = guide(list(drafts.values())) if drafts else []
    if len(suffixes) != len(drafts):
        raise ValueError(f"guide: expected {len(drafts)} answers, got {len(suffixes)}")
    found, reasons = dict[int, Segments](), dict[int, str]()
    for (i, draft), suffix in zip(drafts.items(), suffixes, strict=True):
        at, trusted = len(draft.prefix_ids), draft.prefix.strip()
        if suffix is None or not suffix.text.strip():
            reasons[i] = "the guide gave nothing"
        elif trusted and suffix.text.lstrip().startswith(trusted):
            reasons[i] = "the guide repeats what stands before"
        elif options.max_tokens is not None and at + len(suffix) > options.max_tokens:
            reasons[i] = f"the repair has {at + len(suffix)} tokens, more than {options.max_tokens}"
        else:
            found[i] = tokens[i].splice(at, suffix)
    return found, reasons


def _with_completion(sample: Chat, tokens: Segments) -> Chat:
    text = tokens.text
    completion = text if isinstance(sample.completion, str) else [{"role": "assistant", "content": text}]
    return replace(
        sample, completion=completion, extra={**sample.extra, "completion_ids": tokens.ids.tolist()}
    )
