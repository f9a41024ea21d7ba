"""All about some results in one page, which needs nothing else: no network, no other file."""

from __future__ import annotations

from deepobs_analysis.report.page import report

__all__ = ["report"]
