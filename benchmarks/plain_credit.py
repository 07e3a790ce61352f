"""Credit as loops over rows of plain Python lists, straight from the definitions: what `bench_process_credit.py`
compares with. Rows hold the tokens (or steps) that exist; `size` consecutive rows form a group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate, pairwise
from statistics import mean, stdev

Row = list[float]


def sums_to_end(row: Row) -> Row:
    return list(accumulate(reversed(row)))[::-1]


def minima_to_end(row: Row) -> Row:
    return list(accumulate(reversed(row), min))[::-1]


def softmin(row: Row, temperature: float) -> Row:
    lowest = min(row)
    weights = [math.exp((lowest - reward) / temperature) for reward in row]
    total = sum(weights)
    return [weight / total * reward for weight, reward in zip(weights, row, strict=True)]


def clip(row: Row, threshold: float) -> Row:
    return [min(reward - threshold, 0.0) for reward in row]


def deltas(row: Row) -> Row:
    if len(row) < 2:
        return [0.0] * len(row)
    return [here - following for here, following in pairwise(row[:-1])] + [row[-2], 0.0]


def groups_of(rows: list[Row], size: int) -> Iterator[list[Row]]:
    return (rows[first : first + size] for first in range(0, len(rows), size))


def leave_one_out_tokens(rows: list[Row], size: int) -> list[Row]:
    found = list[Row]()
    for group in groups_of(rows, size):
        baseline = sum(mean_of(row) for row in group) / (size - 1)
        found += [[reward * size / (size - 1) - baseline for reward in row] for row in group]
    return found


def leave_one_out_steps(rows: list[Row], size: int) -> list[Row]:
    """With steps of one token each, so that a baseline a token and one a step of that length are the same."""
    found = list[Row]()
    for group in groups_of(rows, size):
        totals, counts = [sum(row) for row in group], [len(row) for row in group]
        for row, own, length in zip(group, totals, counts, strict=True):
            average = (sum(totals) - own) / (sum(counts) - length)
            found.append([reward - average for reward in row])
    return found


def unit_returns(rows: list[Row], epsilon: float) -> list[Row]:
    bound = max(max(abs(value) for value in sums_to_end(row)) for row in rows) + epsilon
    return [[reward / bound for reward in row] for row in rows]


def whiten(rows: list[Row], epsilon: float) -> list[Row]:
    values = [value for row in rows for value in row]
    center = sum(values) / len(values)
    variance = sum((value - center) ** 2 for value in values) / (len(values) - 1)
    scale = math.sqrt(variance + epsilon)
    return [[(value - center) / scale for value in row] for row in rows]


def dense_leave_one_out(process: list[Row], outcome: Row, size: int) -> list[Row]:
    relative = leave_one_out_tokens(unit_returns(process, 1e-6), size)
    returns = list[Row]()
    final = [value[0] for value in leave_one_out_tokens([[value] for value in outcome], size)]
    for row, last in zip(relative, final, strict=True):
        returns.append([value + last for value in sums_to_end(row)])
    return whiten(returns, 1e-8)


def episode_step(
    steps: list[Row], ends: list[list[int]], lengths: list[int], outcome: Row, size: int
) -> list[Row]:
    found = list[Row]()
    for first in range(0, len(steps), size):
        rows = range(first, first + size)
        pool = [reward for i in rows for reward in steps[i]]
        center, scale = mean_of(pool), stdev(pool) + 1e-6
        results = [outcome[i] for i in rows]
        episode_center, episode_scale = mean_of(results), stdev(results) + 1e-6
        for i in rows:
            step, row = 0, Row()
            episode = (outcome[i] - episode_center) / episode_scale
            for token in range(lengths[i]):
                while step < len(ends[i]) and ends[i][step] <= token:
                    step += 1
                own = (steps[i][step] - center) / scale if step < len(ends[i]) else 0.0
                row.append(episode + own)
            found.append(row)
    return found


def steer(row: Row, advantage: float, threshold: float, p: float) -> Row:
    found = Row()
    for reward in row:
        sign = (reward > 0) - (reward < 0)
        found.append((1 + p * sign) * advantage if abs(reward) > threshold else 0.0)
    return found


def saving_over_mean(masks: list[list[bool]], size: int) -> list[Row]:
    found = list[Row]()
    for first in range(0, len(masks), size):
        group = masks[first : first + size]
        lengths = [sum(mask) for mask in group]
        center = mean(lengths)
        for mask, length in zip(group, lengths, strict=True):
            saved = max(-1.0, min(1.0, (center - length) / length))
            found.append([saved if kept else 0.0 for kept in mask])
    return found


def mean_of(row: Row) -> float:
    return sum(row) / len(row)
