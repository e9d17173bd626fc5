"""The keys of one fair queue: what each holds, and for how long.

All begin with one base, `<prefix>fair:{<queue>}:`; the braces keep a queue in one slot of a
Redis Cluster. Scripts get the base as their only key and make the others of it.

ring            ZSET    root -> tag, ms: served before, and work waits
fresh           ZSET    root -> order of arrival: not served yet, and work waits
arrived         HASH    root in fresh -> virtual time at its arrival
park            ZSET    root -> tag: nothing waits; work in flight, or ahead of virtual time
infl            HASH    root -> leases out, while there are any
r:<root>        LIST    its messages, the next in front, while there are any
r3: r6: r9:<root>  LIST  those that go behind them: of later priorities, or once low
low:<the above>         the same of the low class
since           ZSET    low root -> ms since when its next message waits
held            ZSET    root -> ms since when nothing of it is taken, while it has messages
marks:<root>    HASH    job -> low, or the number of the last dispatch of it that is dropped
weights         HASH    root -> weight, where it is not 1, while the root is known
due             ZSET    delivery id -> ms when it is due
due_messages    HASH    delivery id -> its class, weight, step, deliveries, root and message
c:<consumer>    HASH    m<lease> the message, f<lease> the facts; last request; leases missed
cons            ZSET    consumer -> ms of its last beat, while it lives
slots           HASH    consumer -> how many messages it runs at once, while it lives
suspects        HASH    consumer -> its last beat when it was suspected
served:<minute> HASH    total, weights, roots; r<root> -> ms it received; a bit over an hour
est             HASH    task name -> learned ms; as many as there are names
quarantine      HASH    name -> class, deliveries, root and reason of a message set aside
quarantine_messages  HASH  name -> the message as it came
quarantined     ZSET    name -> ms when it was set aside
meta            HASH    virtual times, clocks, counters, sum of slots, traits, epoch; always
wake            LIST    tokens, hints that a look is worth it; at most one a consumer
p:<producer>    STRING  its last publish number, for ten minutes
"""

from __future__ import annotations

import math

#: ms; what roots received is counted by the minute
MINUTE = 60_000.0
#: so many minutes before the one that began are counted, and may be read
COUNTED_MINUTES = 60


def base_of(prefix: str, queue: str) -> str:
    """Begin every key of a queue; two queues never share one, whatever their names."""
    for sign in "%{}":
        queue = queue.replace(sign, f"%{ord(sign):02X}")
    return f"{prefix}fair:{{{queue}}}:"


def served_of(now: float) -> list[str]:
    """Name the hashes in which it is counted what roots received, the newest first."""
    last = math.floor(now / MINUTE)
    return [f"served:{minute}" for minute in range(last, last - COUNTED_MINUTES - 1, -1)]
