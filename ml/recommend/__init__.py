"""Recommendations: data, candidates, ranking, selection, lists, evaluation, each in a room of its own."""
