"""The fair transport: whose turn it is, on Redis. It knows messages, and nothing of Postgres.

    publish.lua      a message behind the others of its root, or among those that are due later
       |
    r:<root> ... fresh (new roots) and ring (those served before, by tag)        due
       |                                                                          |
    take.lua         the next root's next message, leased  <----------------------+
       |
    c:<consumer>     beat.lua keeps its leases, and gives back those of consumers that are gone
       |
    ack.lua          charges the root for the time it ran;  requeue.lua gives it back,
                     defer.lua for some time, quarantine.lua sets aside what nobody can read

`move`, `hold`, `release`, `drop` and `mark` say what becomes of what waits; `adopt` lets in
what plain producers push.

`transports` is what kombu finds behind `fair-redis://` (`alias` tells it where). A `channel`
publishes (`publishing`, `facts`) and consumes (`taking`, `qos`); what is held belongs to the
process (`leases`, `process`, `beat`); what Redis does to a queue is `fair_queue` with its
`scripts`, and the names of the keys are in `keys`. `model` is the same order in pure Python. A
worker says more of what it runs through `consumer`.
"""
