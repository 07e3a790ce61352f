"""The Ray backend, on a real local cluster, and the pool inside a Ray worker."""

from __future__ import annotations

import os

import pytest

import guerdon
from guerdon import Chat, Status

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@guerdon.reward
def length(sample):
    if sample.completion == "loop":
        while True:
            pass
    if sample.completion == "exit":
        os._exit(3)
    return float(len(sample.completion))


TEXTS = ["x" * (i % 9) for i in range(60)]


def test_the_cluster_gives_what_one_process_gives(cluster):
    samples = [Chat("p", text) for text in TEXTS]
    signal = guerdon.score(length, samples, backend="ray", workers=2)
    assert signal.outcome.tolist() == [float(len(text)) for text in TEXTS]


def test_limits_hold_on_the_cluster(cluster):
    samples = [Chat("p", text) for text in [*TEXTS[:5], "loop", *TEXTS[5:9], "exit"]]
    signal = guerdon.score(length, samples, backend="ray", workers=2, timeout=1.0)
    assert signal.status[5] == Status.TIMED_OUT
    assert signal.status[10] == Status.FAILED
    assert signal.counts()[Status.OK] == 9


def test_the_local_pool_works_inside_a_ray_worker(cluster):
    @ray.remote
    def inside():
        signal = guerdon.score(length, [Chat("p", t) for t in ("x", "loop", "xx")], workers=2, timeout=1.0)
        return signal.status.tolist()

    assert ray.get(inside.remote()) == [Status.OK, Status.TIMED_OUT, Status.OK]
