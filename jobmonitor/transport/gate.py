"""When low roots have their turn: the gate before the low class, and its defaults.

Runs in: consumers. Strictness alone is not low load: a low task that started holds its slot, so
slots are kept free, and a calm is waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LowGate:
    """A low message may be taken when no normal one waits, and this holds.

    More than `reserve` slots are free (None: an eighth of all, none of one), and for `calm` ms
    no normal message was taken that had waited for more than `patience` ms. A low root whose
    next message waits for `longest` ms becomes a normal one (None: never).
    """

    reserve: int | None = None
    calm: float = 5_000.0
    patience: float = 100.0
    longest: float | None = 3 * 3_600_000.0

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As take.lua wants them."""
        given = (self.reserve, self.calm, self.patience, self.longest)
        return tuple("" if value is None else value for value in given)


#: for who takes everything, whatever the load
ALWAYS_OPEN = LowGate(reserve=-1_000_000, calm=0.0, longest=None)
