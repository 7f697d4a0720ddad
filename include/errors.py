"""The errors a night can end with. Each says what happened and what to do next."""


class NightError(Exception):
    """A night cannot go on, and trying again without a change would fail the same way.

    Args:
        problem: what is wrong, naming file, row, column or field where there is one.
        next_step: what the operator should do about it, as a sentence.
    """

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(f"{problem}\n  Next: {next_step}")
        self.problem = problem
        self.next_step = next_step


class BadSetting(NightError):
    """A setting or a run parameter has a value that cannot be used."""


class BadSource(NightError):
    """The shop's data cannot be found or cannot be read at all."""


class GateRefused(NightError):
    """A quality gate found something that must not reach the shop."""


class NightOvertaken(NightError):
    """Another night has been opened for this shop since this one began."""
