"""Async leaves: concurrency, retries and deadlines, against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import guerdon
from guerdon import Chat, Status
from guerdon.engine.coroutines import Requests


class Judge(BaseHTTPRequestHandler):
    """Answers with the length of the path; `/slow` never answers, `/flaky` fails twice, `/broken` always."""

    def do_GET(self):
        server = self.server
        with server.lock:
            server.running += 1
            server.most = max(server.most, server.running)
            seen = server.seen[self.path] = server.seen.get(self.path, 0) + 1
        try:
            if self.path == "/slow":
                server.released.wait(30)
            if self.path == "/broken" or (self.path == "/flaky" and seen < 3):
                self.send_error(503)
                return
            server.released.wait(0.1 if self.path == "/queued" else 0.02)
            with contextlib.suppress(BrokenPipeError):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(str(len(self.path)).encode())
        finally:
            with server.lock:
                server.running -= 1

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with judge_server() as running:
        yield running


@contextlib.contextmanager
def judge_server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Judge)
    httpd.daemon_threads = True
    httpd.lock, httpd.released = threading.Lock(), threading.Event()
    httpd.running = httpd.most = 0
    httpd.seen = {}
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield httpd
    httpd.released.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def judge(httpd):
    @guerdon.reward(name="judge")
    async def ask(sample):
        reader, writer = await asyncio.open_connection(*httpd.server_address)
        try:
            writer.write(f"GET {sample.completion} HTTP/1.0\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            if b" 200 " not in head.splitlines()[0]:
                raise ConnectionError(head.splitlines()[0].decode())
            return float(body)
        finally:
            writer.close()

    return ask


def ask(httpd, paths, **requests):
    samples = [Chat("p", path) for path in paths]
    return guerdon.score(judge(httpd), samples, requests=Requests(backoff=0.01, **requests))


def test_requests_run_concurrently_within_the_bound(server):
    paths = [f"/{'x' * i}" for i in range(40)]
    signal = ask(server, paths, concurrency=8)
    assert signal.outcome.tolist() == [float(len(path)) for path in paths]
    assert 2 <= server.most <= 8


def test_a_temporary_error_is_retried(server):
    signal = ask(server, ["/flaky"], retries=3)
    assert signal.outcome.tolist() == [6.0]
    assert server.seen["/flaky"] == 3


def test_a_lasting_error_fails_with_its_reason(server):
    signal = ask(server, ["/broken", "/x"], retries=2)
    assert signal.status.tolist() == [Status.FAILED, Status.OK]
    assert "503" in signal.reasons[0]
    assert "3 tries" in signal.reasons[0]
    assert server.seen["/broken"] == 3


def test_the_deadline_counts_from_when_the_request_starts(server):
    """Sixteen requests, one at a time: the queue takes longer than any one request may, and nothing times out."""
    paths = ["/slow", *["/queued"] * 15]
    signal = ask(server, paths, concurrency=1, timeout=1.0)
    assert signal.status[0] == Status.TIMED_OUT
    assert (signal.status[1:] == Status.OK).all()
    assert server.seen["/slow"] == 1


def test_works_inside_a_running_loop(server):
    async def main():
        return ask(server, ["/x", "/xx"])

    assert asyncio.run(main()).outcome.tolist() == [2.0, 3.0]


def test_a_mistake_in_the_reward_is_not_retried():
    calls = []

    @guerdon.reward
    async def wrong(sample):
        calls.append(sample)
        return {}["missing"]

    signal = guerdon.score(wrong, [Chat("p", "x")])
    assert "KeyError" in signal.reasons[0]
    assert len(calls) == 1


def test_abstaining_and_values_that_are_no_numbers():
    @guerdon.reward
    async def odd(sample):
        if sample.completion == "a":
            return None
        if sample.completion == "b":
            raise guerdon.Abstain("not my field")
        return float("inf")

    signal = guerdon.score(odd, [Chat("p", t) for t in "abc"])
    assert signal.status.tolist() == [Status.ABSTAINED, Status.ABSTAINED, Status.FAILED]
    assert signal.reasons[1] == "not my field"


def test_a_coroutine_that_swallows_its_cancellation_does_not_hold_up_the_run():
    @guerdon.reward
    async def stubborn(sample):
        while sample.completion == "stubborn":
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue
        return 1.0

    signal = guerdon.score(stubborn, [Chat("p", "stubborn"), Chat("p", "x")], requests=Requests(timeout=0.1))
    assert signal.status.tolist() == [Status.TIMED_OUT, Status.OK]
