"""Learning: one place that fits a night's models, judges them, compares them with their champions and keeps them."""

from include.learn.learn import learn

__all__ = ["learn"]
