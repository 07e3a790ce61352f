"""A tool that runs Python programs in a sandbox."""

from __future__ import annotations

from guerdon.agents.clip import clip
from guerdon.agents.tool import Tool, ToolError, tool
from guerdon.core.checks import check_number
from guerdon.engine.sandbox import Ending, Execution, Limits, ProcessSandbox, Sandbox


def python_tool(
    *,
    limits: Limits | None = None,
    sandbox: Sandbox | None = None,
    max_characters: int = 4000,
    name: str = "python",
    price: float = 0.0,
) -> Tool:
    """A tool that runs a Python program and answers with what it printed. Nothing stays from one call to the next.

    `sandbox`: where programs run, by default a `ProcessSandbox`, which says what that protects against · `limits`: of
    each program · `max_characters`: kept of each of the start of its output and the end of its errors; at least 1.
    Threads may share the tool.

    Calling it raises `ToolError` where the program didn't end well, with the reason, its output and its errors, and
    `SandboxError` where no program can be run. Raises `ValueError` for a `max_characters` below 1.
    """
    check_number(max_characters, "max_characters", low=1)
    place, bounds = sandbox or ProcessSandbox(), limits or Limits()

    def python(code: str) -> str:
        """Run a Python program and see what it prints. Each program starts anew.

        Args:
            code: The program, which prints what you want to know
        """
        ended = place.run(code, limits=bounds)
        output = clip(ended.stdout.rstrip("\n"), max_characters)
        if ended.status == "ok":
            return output or "[no output]"
        errors = clip(ended.stderr.rstrip("\n"), max_characters, keep="end")
        raise ToolError("\n".join(filter(None, (_reason(ended, bounds), output, errors))))

    return tool(python, name=name, price=price)


def _reason(ended: Execution, limits: Limits) -> str:
    reasons: dict[Ending, str] = {
        "timeout": f"the program ran longer than {limits.seconds:g} s",
        "output_limit": f"the program printed more than {limits.output} bytes",
        "memory": f"the program needed more than {limits.memory} bytes of memory",
    }
    return reasons.get(ended.status, f"the program ended with exit code {ended.exit_code}")
