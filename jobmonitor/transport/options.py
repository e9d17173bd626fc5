"""The options of the fair transport, among the others in `broker_transport_options`.

Runs in: producers and consumers, when a channel is opened.
"""

from __future__ import annotations

from typing import Any

from jobmonitor.errors import ConfigurationError
from jobmonitor.settings import is_number, shown

NAMES = (
    "fair_floor", "beat_every", "lost_after",
    "low_reserve", "low_calm", "low_patience", "low_longest_wait",
)  # fmt: skip
#: ten years in seconds
_LONGEST = 10 * 365 * 24 * 3600


def check(
    *, fair_floor: Any, beat_every: Any, lost_after: Any, low_reserve: Any, low_calm: Any,
    low_patience: Any, low_longest_wait: Any,
) -> None:  # fmt: skip
    """Refuse what makes no sense, before anything is sent; raises ConfigurationError."""
    _check_low(low_reserve, low_calm, low_patience, low_longest_wait)
    if not is_number(fair_floor) or not 0 <= fair_floor < 1:
        raise ConfigurationError(
            f"fair_floor must be a number from 0 to below 1, not {shown(fair_floor)}"
        )
    for name, value in (("beat_every", beat_every), ("lost_after", lost_after)):
        if not is_number(value) or not 0 < value <= _LONGEST:
            raise ConfigurationError(
                f"{name} must be seconds above 0, at most {_LONGEST:,}, not {shown(value)}"
            )
    if lost_after < 3 * beat_every:
        raise ConfigurationError(
            f"lost_after ({lost_after} s) must be at least three times beat_every "
            f"({beat_every} s)"
        )


def _check_low(reserve: Any, calm: Any, patience: Any, longest: Any) -> None:
    is_slots = isinstance(reserve, int) and not isinstance(reserve, bool) and reserve >= 0
    if reserve is not None and not is_slots:
        raise ConfigurationError(
            f"low_reserve must be slots, 0 or more, or None for an eighth, not {shown(reserve)}"
        )
    for name, value in (("low_calm", calm), ("low_patience", patience)):
        if not is_number(value) or not 0 <= value <= _LONGEST:
            raise ConfigurationError(
                f"{name} must be seconds from 0 to {_LONGEST:,}, not {shown(value)}"
            )
    if longest is not None and not (is_number(longest) and 0 < longest <= _LONGEST):
        raise ConfigurationError(
            f"low_longest_wait must be seconds above 0, at most {_LONGEST:,}, or None for "
            f"never, not {shown(longest)}"
        )
