"""The morning report: figures and plots of one night as a self-contained page."""

from include.report.report import write_report

__all__ = ["write_report"]
