"""A sandbox that is a process of this machine with limits."""

from __future__ import annotations

import json
import math
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, cast

from guerdon.engine.sandbox.execution import DEFAULT, Ending, Execution, Limits, SandboxError

_BOOTSTRAP = str(Path(__file__).with_name("bootstrap.py"))
_PROGRAM = "main.py"
_READ = 1 << 16
_GRACE = 2.0


class ProcessSandbox:
    """Runs a Python program in a process with limits and, where the kernel grants them, in namespaces of its own.

    The program runs as `python -I -B main.py` in a fresh folder, which is its working folder, `HOME` and `TMPDIR` and is
    deleted afterwards. Its environment holds nothing else, so that no secret of the caller's is in it; packages that are
    installed for this interpreter can be imported. It may be called from any thread.

    **What holds on every POSIX system**: the wall-clock limit; limits on memory, CPU time, file size, and core dumps;
    captured output of bounded size; and that its whole process group is killed when it ends. **On Linux also**: no
    capabilities; no new privileges through set-user-id programs; a limit on processes (for root too, but not
    where a namespace gives root another name); processes that it leaves behind, daemons included, are found and killed;
    and all of it ends when the caller dies.

    **Where Linux grants unprivileged user namespaces also** (`Execution.isolated`): no network, not even the host's
    loopback; it can't see, signal or read the memory and environment of other processes. Many containers refuse these
    namespaces; the program then *has* the network and can kill other processes of the same user, the ones that watch
    over it included. `require_isolation=True` raises `SandboxError` there instead of running it.

    **What never holds**: it is a process, not a virtual machine. It reads and writes what the user who runs it can read
    and write, apart from files that only root's capabilities open; many files, or many processes of `memory` bytes each,
    can still fill disk and memory; `/proc` and `/sys` show facts of the host; and a hole of the kernel is
    a way out. Run code that is meant to do harm in a container or a virtual machine.
    """

    def __init__(self, *, require_isolation: bool = False) -> None:
        self.require_isolation = require_isolation

    def run(
        self,
        program: str,
        *,
        stdin: str = "",
        files: Mapping[str, str | bytes] | None = None,
        limits: Limits = DEFAULT,
    ) -> Execution:
        """Run a Python program to its end or to a limit; see `Sandbox`."""
        for name, value in (("program", program), ("stdin", stdin)):
            _check_type(value, name, str)
        _check_type(limits, "limits", Limits)
        contents = {_relative(name): _content(name, value) for name, value in (files or {}).items()}
        contents[_PROGRAM] = _encoded(program)
        with _folder() as folder:
            for name, content in contents.items():
                _write_file(folder / name, content)
            with _Process(folder, limits, self.require_isolation) as process:
                return process.run(_encoded(stdin))


def run_python(
    program: str,
    *,
    stdin: str = "",
    files: Mapping[str, str | bytes] | None = None,
    limits: Limits = DEFAULT,
) -> Execution:
    """Run a Python program in a `ProcessSandbox`, which says what that protects against.

    Never raises on what the program does. Raises `TypeError` or `ValueError` for a bad argument, and `SandboxError`
    where no process can be started.
    """
    return ProcessSandbox().run(program, stdin=stdin, files=files, limits=limits)


class _Process:
    """One run: the process, the pipes to it, and what it has said so far."""

    def __init__(self, folder: Path, limits: Limits, required: bool) -> None:
        self._limits = limits
        self._start = time.monotonic()
        self._report, theirs = os.pipe()
        config = {
            "report": theirs,
            "caller": os.getpid(),
            "required": required,
            "limits": {
                "memory": limits.memory,
                "file_size": limits.file_size,
                "processes": limits.processes,
                # A backstop only: no program that keeps within the wall-clock limit can use this much.
                "cpu": (math.ceil(limits.seconds) + 1) * (os.cpu_count() or 1),
            },
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-X", "utf8", _BOOTSTRAP, json.dumps(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env={"HOME": str(folder), "TMPDIR": str(folder)},
                pass_fds=(theirs,),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            os.close(self._report)
            raise SandboxError(f"the interpreter {sys.executable!r} can't be started: {error}") from error
        finally:
            os.close(theirs)
        self._selector = selectors.DefaultSelector()
        self._said = {"report": bytearray(), "stdout": bytearray(), "stderr": bytearray()}
        self._listen(self._report, "report")
        self._listen(cast(Any, self._process.stdout).fileno(), "stdout")
        self._listen(cast(Any, self._process.stderr).fileno(), "stderr")

    def _listen(self, descriptor: int, name: str) -> None:
        os.set_blocking(descriptor, False)
        self._selector.register(descriptor, selectors.EVENT_READ, name)

    def run(self, stdin: bytes) -> Execution:
        """Feed and listen until the program has ended or passes a limit."""
        stopped = self._exchange(memoryview(stdin), self._start + self._limits.seconds)
        self._end()
        report, out, err = (bytes(said) for said in self._said.values())
        if not report and stopped is None:
            raise SandboxError(f"the sandbox didn't start: {err.decode('utf-8', 'replace').strip()[-500:]}")
        code = int(report[1:]) if report[1:] and stopped is None else None
        most = self._limits.output
        stderr = err[:most].decode("utf-8", "replace")
        return Execution(
            status=stopped or _ending(code, stderr),
            exit_code=code,
            stdout=out[:most].decode("utf-8", "replace"),
            stderr=stderr,
            seconds=time.monotonic() - self._start,
            truncated=self._too_much(),
            isolated=report[:1] == b"I",
        )

    def _exchange(self, stdin: memoryview, deadline: float) -> Ending | None:
        """None once the bootstrap has ended, else the limit that was passed."""
        pipe = cast(Any, self._process.stdin)
        os.set_blocking(pipe.fileno(), False)
        self._selector.register(pipe, selectors.EVENT_WRITE, "stdin")
        while self._report in self._selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            for key, _ in self._selector.select(left):
                if key.data == "stdin":
                    stdin = stdin[_write(key.fd, stdin) :]
                    if not stdin:
                        self._selector.unregister(pipe)
                        pipe.close()
                else:
                    self._hear(key)
            if self._too_much():
                return "output_limit"
        # What the program printed last may still be in the pipes.
        for key in list(self._selector.get_map().values()):
            while key.data != "stdin" and not self._too_much() and self._hear(key):
                pass
        return "output_limit" if self._too_much() else None

    def _hear(self, key: selectors.SelectorKey) -> bool:
        """Read once; whether anything came."""
        try:
            chunk = os.read(key.fd, _READ)
        except BlockingIOError:
            return False
        if not chunk:
            self._selector.unregister(key.fd)
        self._said[key.data] += chunk
        return bool(chunk)

    def _too_much(self) -> bool:
        return max(len(self._said["stdout"]), len(self._said["stderr"])) > self._limits.output

    def _end(self) -> None:
        """Let the bootstrap clean up, then kill its group; it is reaped last, so that the group is still its own."""
        if self._process.returncode is not None:
            return
        os.kill(self._process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while self._report in self._selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                if key.data == "report":
                    self._hear(key)
                else:
                    self._selector.unregister(key.fd)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> _Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._selector.close()
        os.close(self._report)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            cast(Any, pipe).close()


def _ending(code: int | None, stderr: str) -> Ending:
    if code == 0:
        return "ok"
    if code == -signal.SIGXCPU:
        return "timeout"
    last = stderr.rstrip().rpartition("\n")[2]
    return "memory" if "MemoryError" in last.partition(":")[0] else "error"


def _write(descriptor: int, data: memoryview) -> int:
    """Bytes that are off one's hands; all of them where nobody reads any more."""
    try:
        return os.write(descriptor, data[:_READ])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)


@contextmanager
def _folder() -> Generator[Path, None, None]:
    path = tempfile.mkdtemp(prefix="guerdon-sandbox-")
    try:
        yield Path(path)
    finally:
        try:
            shutil.rmtree(path, ignore_errors=True)
        except RecursionError:
            os.chmod(path, 0o700)
        if os.path.exists(path):
            # Folders nested deeper than rmtree can follow, or closed to their owner.
            subprocess.run(["chmod", "-R", "u+rwx", path], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["rm", "-rf", path], check=False, stderr=subprocess.DEVNULL)


def _write_file(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise SandboxError(f"the working folder can't be filled: {error}") from error


def _check_type(value: object, name: str, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {kind.__name__}, got {type(value).__name__}")


def _relative(name: str) -> str:
    _check_type(name, "files: a name", str)
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name or str(path) == _PROGRAM:
        raise ValueError(
            f"files: expected relative paths inside the folder other than {_PROGRAM}, got {name!r}"
        )
    return str(path)


def _content(name: str, value: str | bytes) -> bytes:
    if isinstance(value, str):
        return _encoded(value)
    _check_type(value, f"files[{name!r}]", bytes)
    return value


def _encoded(text: str) -> bytes:
    """UTF-8 in which a lone surrogate stays what it is: Python then refuses the program, as it refuses such a file."""
    return text.encode("utf-8", "surrogatepass")
