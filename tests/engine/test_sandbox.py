"""The sandbox: what programs print, every limit, what they leave behind, and what they can't reach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.engine.sandbox import Execution, Limits, ProcessSandbox, SandboxError, run_python

SHORT = Limits(seconds=2.0)


def isolated() -> bool:
    return run_python("").isolated


needs_isolation = pytest.mark.skipif(not isolated(), reason="this kernel gives no namespaces to this user")


def alive(pid_file: Path) -> bool:
    """Whether the process that wrote its number there still runs; it may be on its way out."""
    pid = int(pid_file.read_text())
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.01)
    return True


# -- ordinary programs -------------------------------------------------------------------------------------------------


def test_a_program_reads_and_prints() -> None:
    done = run_python(
        "import sys\nprint(input()[::-1])\nprint('é', file=sys.stderr)", stdin="abc\nrest that nobody reads"
    )
    assert (done.status, done.exit_code, done.stdout, done.stderr, done.truncated) == (
        "ok",
        0,
        "cba\n",
        "é\n",
        False,
    )
    assert done.seconds > 0


def test_it_runs_as_a_script_with_its_files_in_a_folder_of_its_own() -> None:
    program = (
        "import os, sys, helper\n"
        "print(__name__, sys.argv, helper.x, open('data/a.bin', 'rb').read())\n"
        "print(os.getcwd() == os.environ['HOME'] == os.environ['TMPDIR'], sorted(os.listdir()))\n"
        "import pickle\nclass A: pass\npickle.loads(pickle.dumps(A()))\n"
        "import atexit\natexit.register(print, 'bye')"
    )
    done = run_python(program, files={"helper.py": "x = 3", "data/a.bin": b"\x00\xff"})
    assert done.stdout.splitlines() == [
        r"__main__ ['main.py'] 3 b'\x00\xff'",
        "True ['data', 'helper.py', 'main.py']",
        "bye",
    ]


def test_the_traceback_is_the_programs_own() -> None:
    done = run_python("def f():\n    return 1 / 0\nf()")
    assert (done.status, done.exit_code) == ("error", 1)
    assert done.stderr.startswith('Traceback (most recent call last):\n  File "main.py", line 3')
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "bootstrap" not in done.stderr


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(3)", 3),
        ("import os; os._exit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("import sys; sys.exit('words')", 1),
        ("def (", 1),
        ("x = 1\0", 1),
        ("x = '\ud800'", 1),
    ],
)
def test_how_it_ended(program: str, code: int) -> None:
    done = run_python(program)
    assert (done.status, done.exit_code) == ("error", code)


@settings(max_examples=15, deadline=None)
@given(st.text(), st.text(st.characters(exclude_categories=("Cs",))))
def test_any_program_and_any_input_end_in_an_execution(program: str, stdin: str) -> None:
    assert isinstance(run_python(program, limits=SHORT), Execution)
    echo = run_python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", stdin=stdin)
    assert echo.stdout == stdin


def test_large_programs_inputs_and_outputs_pass_through() -> None:
    assert run_python(f"x = '{'a' * (1 << 20)}'\nprint(len(x))").stdout == f"{1 << 20}\n"
    text = "0123456789" * 90_000
    assert run_python("import sys; print(end=sys.stdin.read())", stdin=text).stdout == text


def test_bytes_that_are_not_text_are_replaced() -> None:
    assert run_python("import sys; sys.stdout.buffer.write(b'a\\xff')").stdout == "a�"
    assert run_python("print(len(input()))", stdin="\ud800").status == "ok"


def test_it_works_from_many_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: run_python(f"print({i})").stdout, range(8)))
    assert found == [f"{i}\n" for i in range(8)]


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program", ["while True: pass", "import time; time.sleep(1000)", "import signal; signal.pause()"]
)
def test_endless_programs_are_stopped(program: str) -> None:
    done = run_python(f"print('so far', flush=True)\n{program}", limits=Limits(seconds=0.7))
    assert (done.status, done.exit_code, done.stdout) == ("timeout", None, "so far\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_endless_output_is_cut_at_the_limit(stream: str) -> None:
    done = run_python(f"import sys\nwhile True: sys.{stream}.write('x' * 999)", limits=Limits(output=5000))
    assert (done.status, done.truncated, getattr(done, stream)) == ("output_limit", True, "x" * 5000)


def test_output_of_just_the_limit_is_whole() -> None:
    done = run_python("print(end='x' * 5000)", limits=Limits(output=5000))
    assert (done.status, done.truncated, len(done.stdout)) == ("ok", False, 5000)
    assert run_python("print(end='x' * 5001)", limits=Limits(output=5000)).status == "output_limit"


def test_memory_ends_in_a_memory_error() -> None:
    done = run_python("x = bytearray(10 << 30)")
    assert (done.status, done.exit_code) == ("memory", 1)
    assert run_python("x = bytearray(10 << 20)").status == "ok"


def test_a_large_file_is_refused() -> None:
    program = "f = open('a', 'wb')\nfor _ in range(1024): f.write(b'x' * (1 << 20))"
    done = run_python(program, limits=Limits(file_size=1 << 20))
    assert done.status == "error"
    assert "File too large" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits processes for every user")
def test_processes_are_limited() -> None:
    program = (
        "import os, time\nn = 0\ntry:\n"
        "    for _ in range(200):\n        if os.fork() == 0: time.sleep(5); os._exit(0)\n        n += 1\n"
        "except OSError: pass\nprint(n)"
    )
    assert 1 <= int(run_python(program, limits=Limits(processes=20)).stdout) <= 20


def test_a_fork_bomb_is_over_with_its_program() -> None:
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    done = run_python(bomb, limits=Limits(seconds=1.0, processes=20))
    assert (done.status, done.exit_code) == ("timeout", None)


# -- what is left behind -----------------------------------------------------------------------------------------------

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        link = os.readlink('/proc/self')
        open({path!r}, 'w').write(link)
        time.sleep(1000)
    os._exit(0)
while not (os.path.exists({path!r}) and os.path.getsize({path!r})):
    time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("ending", ["", "\ntime.sleep(1000)"])
def test_daemons_die_with_their_program(tmp_path: Path, ending: str) -> None:
    pid_file = tmp_path / "pid"
    run_python(DAEMON.format(path=str(pid_file)) + ending, limits=SHORT)
    assert not alive(pid_file)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_program_dies_with_its_caller(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        f"import os, time; open({str(pid_file)!r}, 'w').write(os.readlink('/proc/self')); time.sleep(1000)"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", f"from guerdon.engine.sandbox import run_python; run_python({program!r})"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    while not (pid_file.exists() and pid_file.read_text()):
        time.sleep(0.01)
    caller.kill()
    caller.wait()
    assert not alive(pid_file)
    for _ in range(200):
        if list(tmp_path.iterdir()) == [pid_file]:
            return
        time.sleep(0.01)
    pytest.fail("the working folder is still there")


@pytest.mark.parametrize(
    "program",
    [
        "import os, shutil; shutil.rmtree(os.getcwd())",
        "import os; os.close(0); os.close(1); os.close(2)",
        "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')",
        "import os; os.mkdir('d'); open('d/f', 'w'); os.chmod('d', 0)",
    ],
)
def test_no_folder_is_left(program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run_python(program).status == "ok"
    assert list(tmp_path.iterdir()) == []


# -- what it can't reach -----------------------------------------------------------------------------------------------


def test_the_environment_of_the_caller_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    names = run_python("import os; print(sorted(os.environ))").stdout
    assert names in ("['HOME', 'TMPDIR']\n", "['HOME', 'LC_CTYPE', 'TMPDIR']\n")


@needs_isolation
def test_the_caller_can_be_neither_read_nor_killed() -> None:
    reads = f"open('/proc/{os.getpid()}/environ', 'rb').read()"
    assert "PermissionError" in run_python(reads).stderr
    assert "ProcessLookupError" in run_python(f"import os; os.kill({os.getpid()}, 0)").stderr


@needs_isolation
def test_there_is_no_network() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        connects = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
        outside = subprocess.run([sys.executable, "-c", connects], check=False, stderr=subprocess.DEVNULL)
        inside = run_python(connects)
        server.kill()
    assert outside.returncode == 0
    assert inside.status == "error"


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_it_has_no_capabilities_and_can_gain_none() -> None:
    lines = dict(
        line.split(":\t")
        for line in run_python("print(open('/proc/self/status').read())").stdout.split("\n")
        if line
    )
    assert int(lines["CapEff"], 16) == int(lines["CapPrm"], 16) == 0
    assert lines["NoNewPrivs"] == "1"


# -- without namespaces ------------------------------------------------------------------------------------------------

WITHOUT = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" -c "$1"'


def without_namespaces(code: str) -> str:
    """What `code` prints in a process that the kernel grants no namespaces to."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", WITHOUT, sys.executable, code],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


needs_unshare = pytest.mark.skipif(
    shutil.which("unshare") is None or not isolated(), reason="needs to take namespaces away"
)


@needs_unshare
def test_without_namespaces_daemons_still_die(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = DAEMON.format(path=str(pid_file)) + "\nprint('done')"
    code = (
        "from guerdon.engine.sandbox import *\n"
        f"done = run_python({program!r})\nprint(done.status, done.isolated, done.stdout)\n"
        f"print(run_python({program + '; time.sleep(1000)'!r}, limits=Limits(seconds=1)).status)"
    )
    assert without_namespaces(code).split() == ["ok", "False", "done", "timeout"]
    assert not alive(pid_file)


@needs_unshare
def test_without_namespaces_isolation_can_be_insisted_on() -> None:
    code = (
        "from guerdon.engine.sandbox import *\n"
        "try: ProcessSandbox(require_isolation=True).run('')\nexcept SandboxError as error: print(error)"
    )
    assert "namespace" in without_namespaces(code)


def test_an_interpreter_that_cannot_start_is_an_error_of_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SandboxError, match="/nowhere/python"):
        ProcessSandbox().run("print(1)")


# -- at the door -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        {"seconds": 0},
        {"seconds": float("inf")},
        {"seconds": float("nan")},
        {"memory": 0},
        {"output": -1},
        {"file_size": 1.5},
        {"processes": True},
        {"memory": 1 << 70},
    ],
)
def test_impossible_limits(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        Limits(**limits)


@pytest.mark.parametrize("name", ["", ".", "/etc/passwd", "../a", "a/../../b", "main.py", "a\0b"])
def test_files_outside_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="files"):
        run_python("", files={name: "x"})


def test_wrong_types() -> None:
    bad: Any = 5
    for arguments in ({"program": bad}, {"program": "", "stdin": b""}, {"program": "", "limits": bad}):
        with pytest.raises(TypeError):
            run_python(**arguments)
    with pytest.raises(TypeError, match=r"files\['a'\]"):
        run_python("", files={"a": bad})
