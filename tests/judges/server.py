"""A chat completions server on loopback that answers by script."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What one request gets; `hang` never answers, `drop` closes the connection."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    hang: bool = False
    drop: bool = False


def completion(message: Mapping[str, Any], reason: str = "stop", tokens: tuple[int, int] = (7, 3)) -> Answer:
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    choice = {"index": 0, "message": dict(message), "finish_reason": reason}
    return Answer(json.dumps({"id": "x", "choices": [choice], "usage": usage}).encode())


def says(text: str) -> Answer:
    return completion({"role": "assistant", "content": text, "tool_calls": None, "refusal": None})


class Server(ThreadingHTTPServer):
    """`answers`: one for each request, the last one for all that follow; or `answer`, a function of the request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = []
        self.answer: Any = None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = set[Any]()
        self.lock, self.released = threading.Lock(), threading.Event()
        self.running = self.most = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            answer = (
                server.answers[min(len(server.requests), len(server.answers) - 1)] if server.answers else None
            )
            server.requests.append({"path": self.path, **request})
            server.headers.append(dict(self.headers))
            server.connections.add(self.client_address)
            server.running += 1
            server.most = max(server.most, server.running)
        try:
            answer = answer or server.answer(request)
            if answer.hang:
                server.released.wait(30)
            if answer.hang or answer.drop:
                self.close_connection = True
                return
            server.released.wait(0.02)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        finally:
            with server.lock:
                server.running -= 1

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def chat_server() -> Generator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
