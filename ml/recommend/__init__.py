"""Recommendations: candidates, their blend, top-k scoring, reasons and judging."""
