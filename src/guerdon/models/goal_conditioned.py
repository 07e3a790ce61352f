"""Goal-conditioned states of a reward model: trained to be like the later states of good answers, then used as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike, NDArray

from guerdon.core.checks import check_count, check_number
from guerdon.models.checks import check_batch, check_shapes
from guerdon.models.embedding import cosine_similarity
from guerdon.models.margin import Array, logistic_loss

_compat: Any = array_api_compat
_NORM_FLOOR = 1e-8


def sample_positions(
    uniforms: ArrayLike, tokens: ArrayLike, length: int, *, percentile: float = 0.0
) -> NDArray[np.int64]:
    """Positions, counted back from the end of a sequence, at which states are taken.

        v = (percentile − 1) · u + 1
        position = min(max(⌊v · tokens + 1⌋, 0), length − 1)

    u = 0 is the last token of the prompt, u → 1 the last of the response. A `percentile` above 0 shuts out the last such
    share of the response.

    Args:
        uniforms: (…, m) in [0, 1).
        tokens: (…) integers of at least 1, length of each response.
        length: padded length of the sequences, at least 1.
        percentile: in [0, 1).

    Returns:
        (…, m) int64; see `states_at`.

    Raises:
        ValueError: on shapes that don't fit or a number out of its range.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """
    u, n = np.asarray(uniforms, dtype=np.float64), np.asarray(tokens)
    if u.ndim < 1 or n.shape != u.shape[:-1]:
        raise ValueError(f"uniforms, tokens: expected shapes (…, m) and (…), got {u.shape} and {n.shape}")
    if not ((u >= 0) & (u < 1)).all():
        raise ValueError("uniforms: expected numbers in [0, 1), got another")
    if n.dtype.kind not in "iu" or not (n >= 1).all():
        raise ValueError(f"tokens: expected integers of at least 1, got {tokens!r:.80}")
    check_number(length, "length", low=1)
    _check_percentile(percentile, "percentile")
    position = np.floor(((percentile - 1.0) * u + 1.0) * n[..., None] + 1.0)
    return np.clip(position, 0, length - 1).astype(np.int64)


def sample_source_and_goal(
    tokens: ArrayLike,
    length: int,
    samples: int,
    rng: np.random.Generator,
    *,
    source_percentile: float = 0.0,
    goal_percentile: float = 0.0,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random positions of sources and of goals in one sequence, each source not later than its goal.

    Two uniforms a pair are sorted before `sample_positions` maps the smaller to the source and the larger to the goal;
    with percentiles that differ, the order may be lost there. Negative pairs, whose goals lie in another sequence, have
    no order: draw them with `sample_positions`.

    Args:
        tokens: (n,) integers of at least 1, length of each response.
        length: padded length of the sequences.
        samples: m, at least 1.
        rng: the source of randomness.

    Returns:
        Two arrays (n, m) int64.

    Raises:
        ValueError: as `sample_positions`, or `samples` below 1.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """
    check_number(samples, "samples", low=1)
    n = np.asarray(tokens)
    pairs = np.sort(rng.random((*n.shape, samples, 2)), axis=-1)
    return (
        sample_positions(pairs[..., 0], n, length, percentile=source_percentile),
        sample_positions(pairs[..., 1], n, length, percentile=goal_percentile),
    )


def states_at(hidden: Array, positions: NDArray[np.int64]) -> Array:
    """States `h[−position]` at positions that are counted back from the end; position 0 is the first token.

    `hidden` (n, T, d), padded on the left · `positions` (n, m) in [0, T). The result is (n, m, d), differentiable in
    torch. Raises `ValueError` on shapes that don't fit or a position that isn't there.
    """
    xp = _compat.array_namespace(hidden)
    if hidden.ndim != 3 or positions.ndim != 2 or positions.shape[0] != hidden.shape[0]:
        raise ValueError(
            "hidden, positions: expected shapes (n, T, d) and (n, m), "
            f"got {tuple(hidden.shape)} and {positions.shape}"
        )
    length = hidden.shape[1]
    if not ((positions >= 0) & (positions < length)).all():
        raise ValueError(f"positions: expected integers in [0, {length}), got another")
    device = _compat.device(hidden)
    rows = xp.arange(hidden.shape[0], device=device)[:, None]
    return hidden[rows, xp.asarray(-positions % length, device=device)]


def goal_contrastive_loss(
    source: Array,
    goal: Array,
    negative_source: Array,
    negative_goal: Array,
    *,
    beta: float = 0.5,
    average_goals: bool = False,
) -> Array:
    """Contrastive loss that draws the states of a good answer to its own later states, away from a bad answer's.

        S⁺ = mean σ(cos(source_i, goal_j))        S⁻ = mean σ(cos(negative_source_i, negative_goal_j))
        loss = beta · (−log S⁺ − log(1 − S⁻))

    Means run over the batch and over all pairs (i, j) of a row, and are taken before the logarithm: batches of other
    sizes have other losses. As cosines lie in [−1, 1], the loss lies in beta · [0.6265, 2.6265].

    Args:
        source, goal: (n, m, d) states of the preferred answers; see `sample_source_and_goal`.
        negative_source, negative_goal: (n, m', d) states of the preferred and of the dispreferred answers.
        beta: > 0, weight of the loss.
        average_goals: compare with the mean of a row's goals.

    Returns:
        A number in the namespace of the inputs, differentiable in torch. The zero vector has cosine 0 to all.

    Raises:
        ValueError: on shapes that don't fit, or without pairs. Non-finite states pass through, so that a training loop
            sees them.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """
    check_number(beta, "beta", above=0.0)
    xp = _compat.array_namespace(source)
    positive = _mean_likeness(source, goal, "source, goal", average_goals)
    negative = _mean_likeness(negative_source, negative_goal, "negative_source, negative_goal", average_goals)
    return beta * (-xp.log(positive) - xp.log(1 - negative))


def goal_conditioned_loss(chosen: Array, rejected: Array, contrastive: Array | float) -> Array:
    """Loss of a reward model with goal-conditioned states: `mean −log σ(chosen − rejected) + contrastive`.

    `chosen`, `rejected` (n,) rewards, n at least 1 · `contrastive`: `goal_contrastive_loss` on states of the same trunk,
    not detached. The result is a number, differentiable in torch. Raises `ValueError` on shapes that don't fit.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """
    check_batch(chosen, "chosen")
    check_shapes(tuple(chosen.shape), rejected=rejected)
    return _compat.array_namespace(chosen).mean(logistic_loss(chosen - rejected)) + contrastive


def goal_values(hidden: ArrayLike, goals: ArrayLike) -> NDArray[np.float64]:
    """Value of each token: how like its state is to a goal, in [−1, 1].

        goal = mean_k goals_k        V_t = cos(h_t, goal)

    `hidden` (…, d): states, detached · `goals` (k, d): states at the last token of k desirable responses under the same
    model. The result is (…) float64, 0 for the zero vector. Raises `ValueError` without goals, where shapes don't fit or
    a state isn't finite.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """
    found = np.asarray(goals, dtype=np.float64)
    if found.ndim != 2 or found.shape[0] < 1:
        raise ValueError(f"goals: expected shape (k, d) with k of at least 1, got {found.shape}")
    return cosine_similarity(hidden, found.mean(axis=0))


class Filtered(NamedTuple):
    """Whether a generation was `kept`; of its `tokens_total` after the skip, those that needn't be generated."""

    kept: bool
    tokens_saved: int
    tokens_total: int


def filter_generation(values: ArrayLike, threshold: float, *, skip: int = 5) -> Filtered:
    """Stop a generation at the first token whose value is below a threshold.

        stop = min {t ≥ skip : V_t < threshold}        tokens_saved = T − stop, or 0 where there is none

    `values` (T,) finite, see `goal_values` · `skip`: ≥ 0 first tokens that aren't looked at. Raises `ValueError` where
    an argument isn't of its kind.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 1 or not np.isfinite(v).all():
        raise ValueError(f"values: expected finite numbers (T,), got {values!r:.80}")
    check_number(threshold, "threshold")
    check_count(skip, "skip", low=0)
    rest = v[skip:]
    below = np.flatnonzero(rest < threshold)
    if not below.size:
        return Filtered(True, 0, rest.size)
    return Filtered(False, rest.size - int(below[0]), rest.size)


class Survivors(NamedTuple):
    """`indices` of the generations to vote among, and the share of tokens that the others saved."""

    indices: list[int]
    saved: float


def survivors(filtered: Sequence[Filtered]) -> Survivors:
    """The generations that a filter left; all of them, with nothing saved, where it left none.

    The share is of all tokens after the skip, 0 where there are none. Vote among the survivors with
    `guerdon.steer.majority_vote`.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """
    kept = [i for i, one in enumerate(filtered) if one.kept]
    if not kept:
        return Survivors(list(range(len(filtered))), 0.0)
    total = sum(one.tokens_total for one in filtered)
    return Survivors(kept, sum(one.tokens_saved for one in filtered) / max(total, 1))


def partial_position(tokens: int, share: float) -> int:
    """Index of the token whose value speaks for the first `share` of a response: `max(⌊tokens · share⌋ − 1, 0)`.

    `tokens` at least 1 · `share` in [0, 1]. Its value against correctness, over many responses, gives the AUROC of a
    partial reward. Raises `ValueError` out of those ranges.

    "Learning Goal-Conditioned Representations for Language Reward Models", arXiv 2407.13887, repository
    vaskarnathscale/goal-conditioned-rm.
    """
    check_number(tokens, "tokens", low=1)
    return max(int(tokens * check_number(share, "share", 0.0, 1.0)) - 1, 0)


def _mean_likeness(source: Array, goal: Array, names: str, average_goals: bool) -> Array:
    """Mean of σ(cos) over the batch and all pairs of a row, by one matrix product a row."""
    shapes = tuple(source.shape), tuple(goal.shape)
    if (
        len(shapes[0]) != 3
        or shapes[0][::2] != shapes[1][::2]
        or len(shapes[1]) != 3
        or 0 in shapes[0] + shapes[1]
    ):
        raise ValueError(
            f"{names}: expected shapes (n, m, d) and (n, k, d), none 0, got {shapes[0]} and {shapes[1]}"
        )
    xp = _compat.array_namespace(source)
    if average_goals:
        goal = xp.mean(goal, axis=1, keepdims=True)
    cosines = xp.matmul(_unit(source), xp.matrix_transpose(_unit(goal)))
    return xp.mean(1 / (1 + xp.exp(-cosines)))


def _unit(states: Array) -> Array:
    xp = _compat.array_namespace(states)
    norm = xp.linalg.vector_norm(states, axis=-1, keepdims=True)
    return states / xp.clip(norm, min=_NORM_FLOOR)


def _check_percentile(value: float, name: str) -> None:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1), got {value!r}")
