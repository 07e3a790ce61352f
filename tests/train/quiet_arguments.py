"""Options of a trainer that runs in a test: on the CPU, without reports, bars and checkpoints."""

from __future__ import annotations

from typing import Any

QUIET: dict[str, Any] = {
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
}
