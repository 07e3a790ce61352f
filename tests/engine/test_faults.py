"""Samples that really hang, crash, exhaust memory or leave threads behind must cost themselves and nothing else."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import guerdon
from guerdon import Chat, Status
from guerdon.engine.pool import PoolError

LIMIT = 1.0


@guerdon.reward
def length_or_misfortune(sample):
    text = sample.completion
    if text == "loop":
        while True:
            pass
    if text == "hang in C":
        ctypes.PyDLL(None).sleep(1000)
    if text == "swallow everything":
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                continue
    if text == "fork":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"]).wait()
    if text == "_exit":
        os._exit(3)
    if text == "exit":
        sys.exit(3)
    if text == "segfault":
        ctypes.string_at(0)
    if text == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "memory":
        return len(bytearray(64 << 30))
    if text == "memory bit by bit":
        hoard = []
        while True:
            hoard.append(bytearray(16 << 20))
    if text == "raise":
        raise ValueError("no such thing")
    if text == "nan":
        return float("nan")
    if text == "text":
        return "1.0"
    if text == "thread":
        threading.Thread(target=spin, daemon=True).start()
    return float(len(text))


def spin():
    while True:
        pass


def run(texts, workers=2, timeout=LIMIT, **options):
    return guerdon.score(
        length_or_misfortune, [Chat("p", text) for text in texts], workers=workers, timeout=timeout, **options
    )


def around(bad, count=30):
    """The bad text among good ones, and the outcome that the good ones must have."""
    texts = ["x" * (i % 7) for i in range(count)]
    texts[count // 2] = bad
    return texts, np.array([float(len(t)) for t in texts]), count // 2


@pytest.mark.parametrize(
    ("bad", "status", "reason"),
    [
        ("loop", Status.TIMED_OUT, "longer than 1 s"),
        ("hang in C", Status.TIMED_OUT, "longer than 1 s"),
        ("swallow everything", Status.TIMED_OUT, "longer than 1 s"),
        ("fork", Status.TIMED_OUT, "longer than 1 s"),
        ("_exit", Status.FAILED, "exited with code 3"),
        ("exit", Status.FAILED, "SystemExit"),
        ("segfault", Status.FAILED, "SIGSEGV"),
        ("kill", Status.FAILED, "SIGKILL"),
        ("memory", Status.FAILED, "MemoryError"),
        ("memory bit by bit", Status.FAILED, "MemoryError"),
        ("raise", Status.FAILED, "no such thing"),
        ("nan", Status.FAILED, "nan"),
        ("text", Status.FAILED, "returned str"),
    ],
)
def test_one_bad_sample_costs_only_itself(bad, status, reason):
    texts, expected, row = around(bad)
    signal_ = run(texts, memory=1 << 28)
    assert signal_.status[row] == status
    assert reason in signal_.reasons[row]
    assert np.isnan(signal_.outcome[row])
    good = np.arange(len(texts)) != row
    np.testing.assert_array_equal(signal_.outcome[good], expected[good])
    assert (signal_.status[good] == Status.OK).all()


@guerdon.reward
def company(sample):
    if sample.completion == "thread":
        threading.Thread(target=spin, daemon=True).start()
        return 1000.0
    return float(threading.active_count())


def test_a_thread_left_spinning_keeps_its_result_and_no_other_sample_shares_its_process():
    texts = ["x"] * 40
    texts[7] = texts[20] = "thread"
    signal_ = guerdon.score(company, [Chat("p", text) for text in texts], workers=2)
    assert signal_.outcome.tolist() == [1000.0 if text == "thread" else 1.0 for text in texts]


def test_every_sample_hanging_still_ends():
    signal_ = run(["loop"] * 4, timeout=0.3)
    assert (signal_.status == Status.TIMED_OUT).all()


def test_no_process_outlives_the_call():
    run(["fork", "loop", "x"], timeout=0.5)
    children = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "time.sleep(1000)" not in children


def test_results_do_not_depend_on_the_number_of_workers():
    texts = ["x" * (i % 11) for i in range(500)]
    alone = guerdon.score(length_or_misfortune, [Chat("p", t) for t in texts])
    for workers in (1, 2, 3):
        np.testing.assert_array_equal(run(texts, workers).outcome, alone.outcome)


@guerdon.reward
def draw(sample, context):
    return float(context.rng.random())


def test_random_rewards_do_not_depend_on_the_number_of_workers():
    samples = [Chat("p", str(i)) for i in range(50)]
    drawn = [
        guerdon.score(
            draw, samples, workers=workers, context=guerdon.Context(rng=np.random.default_rng(7))
        ).outcome
        for workers in (0, 1, 2)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert len(set(drawn[0].tolist())) == len(samples)


def test_works_off_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(run(["x", "loop", "xx"], timeout=0.3)))
    thread.start()
    thread.join()
    assert found[0].status.tolist() == [Status.OK, Status.TIMED_OUT, Status.OK]


def test_works_inside_a_running_event_loop():
    async def main():
        return run(["x", "loop", "xx"], timeout=0.3)

    assert asyncio.run(main()).status.tolist() == [Status.OK, Status.TIMED_OUT, Status.OK]


def test_hung_samples_among_many_cost_only_themselves():
    texts = ["loop" if i % 100 == 50 else "x" for i in range(600)]
    signal_ = run(texts, timeout=0.3)
    assert np.flatnonzero(signal_.status == Status.TIMED_OUT).tolist() == list(range(50, 600, 100))
    assert signal_.counts()[Status.OK] == 594


def test_a_limit_needs_workers():
    with pytest.raises(ValueError, match="workers=1"):
        run(["x"], workers=0)


def test_a_reward_that_can_not_be_loaded_is_one_error():
    class Unloadable(guerdon.Reward):
        name = "unloadable"

        def score(self, sample, context):
            return 1.0

        def prepare(self):
            raise RuntimeError("the model file is missing")

    with pytest.raises(PoolError, match="model file is missing"):
        guerdon.score(Unloadable(), [Chat("p", "x")], workers=1)


def test_a_sample_that_can_not_be_pickled_fails_alone():
    samples = [Chat("p", "x"), Chat("p", "y", extra={"lock": threading.Lock()}), Chat("p", "z")]
    signal_ = guerdon.score(length_or_misfortune, samples, workers=1)
    assert signal_.status.tolist() == [Status.OK, Status.FAILED, Status.OK]
    assert "can't be sent" in signal_.reasons[1]


@guerdon.reward(scope="group")
def rank_or_loop(samples):
    if any(s.completion == "loop" for s in samples):
        spin()
    order = np.argsort([len(s.completion) for s in samples])
    return [float(x) for x in np.argsort(order)]


def test_a_hung_group_costs_only_itself():
    samples = [Chat("p", "x" * (i % 5), group=i % 4) for i in range(20)]
    samples[6] = Chat("p", "loop", group=2)
    signal_ = guerdon.score(rank_or_loop, samples, workers=2, timeout=0.5)
    in_bad_group = np.arange(20) % 4 == 2
    assert (signal_.status[in_bad_group] == Status.TIMED_OUT).all()
    assert (signal_.status[~in_bad_group] == Status.OK).all()
    alone = guerdon.score(rank_or_loop, [s for s in samples if s.group != 2])
    np.testing.assert_array_equal(signal_.outcome[~in_bad_group], alone.outcome)


def test_printing_in_a_reward_does_not_disturb_the_pool():
    @guerdon.reward
    def chatty(sample):
        print("to standard output", "x" * 10_000)
        return 1.0

    assert (guerdon.score(chatty, [Chat("p", str(i)) for i in range(50)], workers=2).outcome == 1.0).all()
