"""`run_claim`: tune every arm equally, run the trials, judge."""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

import numpy as np

from guerdon.claims.harness.claim import MIN_SEEDS, TUNING_SEED, Claim, Experiment, Run, Setting
from guerdon.claims.harness.result import Result, compare, gather

Trial: TypeAlias = tuple[str, Setting, int]
OnTrial: TypeAlias = Callable[[int, int], None]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PACKAGES = ("guerdon", "numpy", "scipy", "torch")


def run_claim(
    claim: Claim,
    *,
    seeds: int | None = None,
    budget: float | None = None,
    workers: int | None = None,
    on_trial: OnTrial | None = None,
) -> Result:
    """Run a claim's experiment and judge it.

    `seeds`: trials an arm, by default the claim's own number · `budget`: seconds after which no further trial
    starts, or None; a seed counts only where all arms have finished it, and with fewer than 3 of them the verdict is
    inconclusive · `workers`: processes, by default one a core; the result doesn't depend on it · `on_trial(done,
    total)`: called after each trial.

    Raises `ValueError` where `seeds` is below 3 or the budget isn't positive, and whatever a trial raises.
    """
    count = claim.seeds if seeds is None else seeds
    if count < MIN_SEEDS:
        raise ValueError(f"seeds: expected at least {MIN_SEEDS}, got {count}")
    if budget is not None and not budget > 0:
        raise ValueError(f"budget: expected seconds above 0, got {budget}")
    started, begin = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.monotonic()
    with _Trials(claim.experiment, workers, budget, on_trial) as trials:
        tuning = [] if claim.tuning is None else _tuning_trials(claim)
        trials.total = trial_count(claim, count)
        tuned = trials.run(tuning)
        settings = _choose(claim, tuned) if None not in tuned else None
        if settings is None:
            found = {arm: list[Run]() for arm in claim.arms}
        else:
            numbers = range(claim.first_seed, claim.first_seed + count)
            planned = [(arm, settings[arm], seed) for seed in numbers for arm in claim.arms]
            found = _whole_seeds(claim, trials.run(planned))
    done = min(map(len, found.values()))
    reason = "" if done >= MIN_SEEDS else f"the budget of {budget:g} s ended after {done} of {count} seeds"
    arms = gather(settings, found) if settings is not None and done else {}
    return Result(
        slug=claim.slug,
        says=claim.says,
        hypothesis=claim.hypothesis,
        setup=claim.setup,
        remark=claim.remark,
        metrics=dict(claim.metrics),
        axes=dict(claim.axes),
        seeds=list(range(claim.first_seed, claim.first_seed + done)),
        arms=arms,
        outcomes=[] if reason else compare(claim, arms),
        reason=reason,
        machine=_machine(),
        versions=_versions(),
        started=started,
        seconds=round(time.monotonic() - begin, 1),
    )


def trial_count(claim: Claim, seeds: int | None = None) -> int:
    """Trials that `run_claim` runs, those of tuning among them."""
    tuning = 0 if claim.tuning is None else len(claim.tuning.grid) * claim.tuning.seeds
    return len(claim.arms) * (tuning + (claim.seeds if seeds is None else seeds))


class _Trials:
    """Runs trials in worker processes, in order, until the budget ends."""

    def __init__(
        self, experiment: Experiment, workers: int | None, budget: float | None, on_trial: OnTrial | None
    ) -> None:
        self.experiment = experiment
        self.deadline = None if budget is None else time.monotonic() + budget
        self.on_trial, self.done, self.total = on_trial, 0, 0
        # Fresh processes: forking one whose libraries have started threads can hang.
        self.pool = ProcessPoolExecutor(
            workers or os.cpu_count() or 1,
            mp_context=multiprocessing.get_context("spawn"),
        )
        self.environment = dict[str, str | None]()

    def __enter__(self) -> _Trials:
        # One process a core; more threads would also change sums in their last bits. Libraries read this when they
        # load, so the workers have to inherit it.
        self.environment = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(dict.fromkeys(_THREADS, "1"))
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)
        for name, value in self.environment.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    def run(self, trials: Sequence[Trial]) -> list[Run | None]:
        """One entry a trial, None for those that the budget left out."""
        waiting: list[Future[Run | None]] = [
            self.pool.submit(_trial, self.experiment, trial, self.deadline) for trial in trials
        ]
        found = list[Run | None]()
        for future in waiting:
            found.append(future.result())
            self.done += 1
            if self.on_trial is not None:
                self.on_trial(self.done, self.total)
        return found


def _trial(experiment: Experiment, trial: Trial, deadline: float | None) -> Run | None:
    # The monotonic clock of one machine is the same in all of its processes.
    return None if deadline is not None and time.monotonic() > deadline else experiment(*trial)


def _tuning_trials(claim: Claim) -> list[Trial]:
    assert claim.tuning is not None
    seeds = range(TUNING_SEED, TUNING_SEED + claim.tuning.seeds)
    return [(arm, setting, s) for arm in claim.arms for setting in claim.tuning.settings(arm) for s in seeds]


def _choose(claim: Claim, runs: Sequence[Run | None]) -> dict[str, Setting]:
    """The best setting of each arm; the first of equals."""
    tuning = claim.tuning
    if tuning is None:
        return {arm: {} for arm in claim.arms}
    sign = 1.0 if tuning.better == "higher" else -1.0
    values = [sign * run.metrics[tuning.metric] for run in runs if run is not None]
    means = np.reshape(values, (len(claim.arms), len(tuning.grid), tuning.seeds)).mean(axis=2)
    return {
        arm: tuning.settings(arm)[int(np.argmax(row))] for arm, row in zip(claim.arms, means, strict=True)
    }


def _whole_seeds(claim: Claim, runs: Sequence[Run | None]) -> dict[str, list[Run]]:
    """Runs of each arm over the seeds that all arms finished."""
    width = len(claim.arms)
    rows = [runs[i : i + width] for i in range(0, len(runs), width)]
    whole = [[run for run in row if run is not None] for row in rows if None not in row]
    return {arm: [row[i] for row in whole] for i, arm in enumerate(claim.arms)}


def _machine() -> Mapping[str, Any]:
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}


def _versions() -> Mapping[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
