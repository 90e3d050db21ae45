"""What a check finds, and how checks are run: one that fails says why."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal['ok', 'missing', 'wrong']


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes:
        topic: what it belongs to: 'packages', 'devices', ...
        name: what was looked at.
        state: 'missing' is not there; 'wrong' is there, and does not do what it should.
        found: what was found, in a few words.
        advice: what to do; '' where all is well.
        needed: whether the package cannot do without.
    """

    topic: str
    name: str
    state: State
    found: str
    advice: str = ''
    needed: bool = False

    @property
    def is_failure(self) -> bool:
        """Whether something that is needed does not work."""
        return self.needed and self.state != 'ok'

    def __str__(self) -> str:
        advice = f': {self.advice}' if self.advice else ''
        return f'{self.state:<8} {self.name}: {self.found}{advice}'


Check = Callable[[], Iterable[Finding]]


def run_check(topic: str, name: str, check: Check, needed: bool) -> Iterator[Finding]:
    """What a check finds; if it fails, that, and why.

    Args:
        topic, name, needed: of the finding in that case.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield from check()
    except Exception as error:  # whatever a broken installation raises
        yield Finding(topic, name, 'wrong', f'cannot be looked at: {reason(error)}', needed=needed)


def reason(error: BaseException) -> str:
    """An error of any kind in a line."""
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0].strip()}' if lines else type(error).__name__
