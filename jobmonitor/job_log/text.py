"""The text of a line: what a record says, and without what would steer a terminal.

Runs in: the process that runs the task.
"""

from __future__ import annotations

import logging
import re

from billiard.exceptions import SoftTimeLimitExceeded

_formatter = logging.Formatter()
_ESCAPE_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)"  # titles, links
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_PICTURES = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)}
_PICTURES[0x7F] = 0x2421
_PICTURES |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


def said_by(record: logging.LogRecord) -> str:
    """Return the message of a record with its traceback and stack, whatever it holds."""
    parts = [_message(record)]
    if record.exc_text:
        parts.append(record.exc_text)
    elif isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        parts.append(_traceback(record))
    if record.stack_info:
        parts.append(str(record.stack_info))
    return "\n".join(parts)


def readable(text: str) -> str:
    """Take out the escape sequences of terminals, and show other control characters."""
    if text.isprintable():
        return text
    return _ESCAPE_SEQUENCES.sub("", text.replace("\r\n", "\n")).translate(_PICTURES)


def overwritten(text: str) -> str:
    """Return what stays of a line in which carriage returns go back to its begin."""
    if "\r" not in text:
        return text
    return next((part for part in reversed(text.split("\r")) if part), "")


def _message(record: logging.LogRecord) -> str:
    try:
        return str(record.getMessage())
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        return f"a message that cannot be shown ({type(error).__name__}): {_plain(record.msg)}"


def _plain(message: object) -> str:
    if isinstance(message, str):
        return message
    return f"a {type(message).__name__}"


def _traceback(record: logging.LogRecord) -> str:
    try:
        return _formatter.formatException(record.exc_info)  # type: ignore[arg-type]
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        return f"a traceback that cannot be shown ({type(error).__name__})"
