"""The first program that runs in a sandbox's process: it gives up what it may, sets limits, and runs `main.py`.

It runs by itself (`python -I bootstrap.py CONFIG`) and imports nothing of the package. Three processes come of it where
the kernel grants namespaces: this one, which stays outside; process 1 of the new PID namespace, with whose end the
kernel kills everything in there; and the program. Without namespaces this one starts the program and adopts what the
program leaves behind. On the report descriptor it writes `I` (isolated) or `S` (shared with the host), and at the end
the program's exit code.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import types
from contextlib import suppress
from typing import Any, NoReturn

_LINUX = sys.platform == "linux"
_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_USER, _NEW_NET, _NEW_PID, _NEW_IPC = 0x10000000, 0x40000000, 0x20000000, 0x08000000
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_SUBREAPER, _SET_NO_NEW_PRIVILEGES = 1, 4, 36, 38
_CAPABILITY_VERSION = 0x20080522
_NOBODY = 65534
_USER_INSIDE = 1000


class _Stopped(BaseException):
    """The caller asks for the end, or is gone."""


def main() -> None:
    """Run the program of the working folder under the limits of the first argument."""
    config: dict[str, Any] = json.loads(sys.argv[1])
    report: int = config["report"]
    if _LINUX and os.getuid() == 0:
        # The kernel exempts the real user root from the limit on processes. The effective user stays, and so does
        # whose files can be read. Where root is one of a namespace already, nobody may not exist.
        with suppress(OSError):
            os.setresuid(_NOBODY, -1, -1)
    isolated = _LINUX and _enter_namespaces()
    if config["required"] and not isolated:
        sys.exit("this kernel gives no user, network and PID namespace to this user")
    signal.signal(signal.SIGTERM, _stop)
    if _LINUX:
        # Keeps the program, a process of the same user, out of this one's memory and descriptors.
        _LIBC.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
        _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != config["caller"]:
            sys.exit("the caller is gone")
    os.write(report, b"I" if isolated else b"S")
    if isolated and (init := os.fork()):
        _relay(init, config["caller"])
    if isolated:
        _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    child = os.fork()
    if child == 0:
        os.close(report)
        _run_program(config, isolated)
    _supervise(child, report, config["caller"])


def _stop(number: int, frame: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Stopped


def _enter_namespaces() -> bool:
    """Leave the host's network, processes and users behind, if the kernel lets this user do so."""
    user, group = os.geteuid(), os.getegid()
    if _LIBC.unshare(_NEW_USER | _NEW_NET | _NEW_PID | _NEW_IPC) != 0:
        return False
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_USER_INSIDE} {user} 1"),
        ("gid_map", f"{_USER_INSIDE} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return True


def _relay(init: int, caller: int) -> NoReturn:
    """Outside the namespace: wait for its process 1, and kill that when it is time to stop."""
    try:
        os.waitpid(init, 0)
    except _Stopped:
        os.kill(init, signal.SIGKILL)
        os.waitpid(init, 0)
    _tidy(caller)
    os._exit(0)


def _supervise(child: int, report: int, caller: int) -> NoReturn:
    """Wait for the program, report how it ended, and leave nothing of it behind."""
    if _LINUX:
        _LIBC.prctl(_SET_SUBREAPER, 1)
    try:
        ended, status = os.wait()
        while ended != child:
            ended, status = os.wait()
        os.write(report, str(os.waitstatus_to_exitcode(status)).encode())
    except _Stopped:
        os.kill(child, signal.SIGKILL)
    if os.getpid() != 1:
        _kill_children()
        _tidy(caller)
    os._exit(0)


def _tidy(caller: int) -> None:
    """Delete the working folder where the caller is gone, who else does it."""
    if os.getppid() != caller:
        import shutil

        shutil.rmtree(os.getcwd(), ignore_errors=True)


def _kill_children() -> None:
    """Kill what is left, and what of that comes to this process as an orphan, until nothing is left."""
    children = f"/proc/self/task/{os.getpid()}/children"
    while os.path.exists(children):
        with open(children) as file:
            for pid in file.read().split():
                os.kill(int(pid), signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _run_program(config: dict[str, Any], isolated: bool) -> NoReturn:
    """Run `main.py` as `python main.py` would; ends in SystemExit, so that the interpreter shuts down as usual."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _limit(config["limits"], isolated)
    if _LINUX:
        _LIBC.prctl(_SET_DUMPABLE, 1, 0, 0, 0)
        _LIBC.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _LIBC.capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)())
    module = types.ModuleType("__main__")
    module.__file__ = "main.py"
    sys.modules["__main__"] = module
    sys.argv = ["main.py"]
    sys.path.insert(0, os.getcwd())
    with open("main.py", "rb") as file:
        source = file.read()
    try:
        exec(compile(source, "main.py", "exec", dont_inherit=True), vars(module))
    except SystemExit:
        raise
    except BaseException as error:
        # The traceback without the frame of this function.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        raise SystemExit(1) from None
    raise SystemExit(0)


def _limit(limits: dict[str, int], isolated: bool) -> None:
    processes = limits["processes"] + (0 if isolated else _running())
    for kind, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_CPU, limits["cpu"]),
        (resource.RLIMIT_FSIZE, limits["file_size"]),
        (resource.RLIMIT_NPROC, processes),
    ):
        hard = resource.getrlimit(kind)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def _running() -> int:
    """Tasks that the real user has already: outside a namespace of one's own the kernel counts them too."""
    user, count = os.getuid(), 0
    for pid in filter(str.isdigit, os.listdir("/proc") if _LINUX else ()):
        # It may have ended meanwhile.
        with suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == user:
                count += len(os.listdir(f"/proc/{pid}/task"))
    return count


if __name__ == "__main__":
    main()
