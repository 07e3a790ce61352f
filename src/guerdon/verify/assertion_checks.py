"""Runs in a sandbox: a program and the assertions on it, each in a process of its own. See `CodeTests`.

Reads a JSON object `program`, `tests`, `seconds`, `stop` from stdin and prints a JSON list of reasons, one a test: empty
where it passed. This process never executes code of the program, so nothing that the program does can change what is
printed here. A test's process proves that it got to the end of the test by sending back a number that it is told only
then.
"""

from __future__ import annotations

import builtins
import ctypes
import json
import os
import signal
import socket
import sys
import time
import types
from typing import NoReturn

_SET_DUMPABLE = 4
_ASKS = b"?\n"
_MODULE = "solution"
_LONGEST = 4096


def main() -> None:
    """Check every test, or up to the first that fails."""
    task = json.load(sys.stdin)
    reasons = list[str]()
    for test in task["tests"]:
        reasons.append(check(task["program"], test, task["seconds"]))
        if reasons[-1] and task["stop"]:
            break
    print(json.dumps(reasons))


def check(program: str, test: str, seconds: float) -> str:
    """Why the test fails; empty where it passes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        _guard_memory(True)
        child = os.fork()
        if child == 0:
            _guard_memory(False)
            _attempt(theirs.detach(), program, test)
        theirs.close()
        reason = _verdict(ours, time.monotonic() + seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return reason


def _guard_memory(guarded: bool) -> None:
    """Whether processes of the same user are kept out of this one's memory and descriptors."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, int(not guarded), 0, 0, 0)


def _verdict(channel: socket.socket, deadline: float) -> str:
    nonce = f"{os.urandom(16).hex()}\n".encode()
    try:
        said = _line(channel, deadline)
        if said == _ASKS:
            channel.sendall(nonce)
            said = _line(channel, deadline)
    except TimeoutError:
        return "it takes too long"
    except OSError:
        said = b""
    if said == nonce:
        return ""
    return said.decode("utf-8", "replace").strip() or "the program ends before the test does"


def _line(channel: socket.socket, deadline: float) -> bytes:
    said = b""
    while not said.endswith(b"\n") and len(said) < _LONGEST:
        channel.settimeout(max(deadline - time.monotonic(), 1e-6))
        chunk = channel.recv(_LONGEST)
        if not chunk:
            break
        said += chunk
    return said


def _attempt(channel: int, program: str, test: str) -> NoReturn:
    """In the test's process. What happens after the program ran uses nothing that the program can have replaced."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    read, write, leave, execute = os.read, os.write, os._exit, exec
    settrace, setprofile, describe = sys.settrace, sys.setprofile, _describe
    names, checks = builtins.__dict__, compile(test, "test", "exec", dont_inherit=True)
    saved = dict(names)
    module = types.ModuleType(_MODULE)
    sys.modules[_MODULE] = module
    space = vars(module)
    try:
        execute(compile(program, "program", "exec", dont_inherit=True), space)
        names.update(saved)
        settrace(None)
        setprofile(None)
        execute(checks, space)
        write(channel, _ASKS)
        write(channel, read(channel, _LONGEST))
    except BaseException as error:
        write(channel, describe(error))
    finally:
        leave(0)


def _describe(error: BaseException) -> bytes:
    text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return f"{text}\n".encode("utf-8", "replace")


if __name__ == "__main__":
    main()
