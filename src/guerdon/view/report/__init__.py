"""The report of a scores file or a training run: one HTML file that opens without network."""

from guerdon.view.report.page import write_report

__all__ = ["write_report"]
