"""The errors a night can end with. Each says what happened and what to do next."""

from include.masking import mask_emails


class NightError(Exception):
    """A night cannot go on, and trying again without a change would fail the same way.

    E-mail addresses that a message quotes are masked.

    Args:
        problem: what is wrong, naming file, row, column or field where there is one.
        next_step: what the operator should do about it, as a sentence.
    """

    def __init__(self, problem: str, next_step: str) -> None:
        self.problem = mask_emails(problem)
        self.next_step = mask_emails(next_step)
        super().__init__(f"{self.problem}\n  Next: {self.next_step}")


class BadSetting(NightError):
    """A setting or a run parameter has a value that cannot be used."""


class BadSource(NightError):
    """The shop's data cannot be found or cannot be read at all."""


class GateRefused(NightError):
    """A quality gate found something that must not reach the shop."""


class NightOvertaken(NightError):
    """Another night has been opened for this shop since this one began."""
