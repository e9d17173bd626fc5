"""The state of a fair queue, read from the keys of a server; as `Model.snapshot` says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

_DUMP = """
local found = {}
for _, name in ipairs(redis.call('KEYS', ARGV[1])) do
    local kind, value = redis.call('TYPE', name).ok, nil
    if kind == 'zset' then value = redis.call('ZRANGE', name, 0, -1, 'WITHSCORES')
    elseif kind == 'hash' then value = redis.call('HGETALL', name)
    elseif kind == 'list' then value = redis.call('LRANGE', name, 0, -1)
    else value = redis.call('GET', name) end
    found[#found + 1] = {name, kind, value}
end
return found
"""


def keys_of(client: redis.Redis, base: str) -> dict[str, Any]:
    """Everything a queue has on the server: key without the base -> value, by its type."""
    found: Any = client.eval(_DUMP, 0, base.replace("[", r"\[") + "*")
    return {name.removeprefix(base): _value(kind, value) for name, kind, value in found}


def _value(kind: str, value: Any) -> Any:
    if kind not in ("zset", "hash"):
        return value
    pairs = dict(zip(value[::2], value[1::2], strict=True))
    return pairs if kind == "hash" else _floats(pairs)


def server_snapshot(client: redis.Redis, base: str) -> dict[str, Any]:
    """Read what `Model.snapshot` says of the model; the client decodes its replies."""
    keys = keys_of(client, base)
    meta = keys.get("meta", {})
    held = {name[2:]: fields for name, fields in keys.items() if name.startswith("c:")}
    leases = {consumer: _leases(fields) for consumer, fields in held.items()}
    return {
        "normal": _roots(keys, meta, ""),
        "low": _roots(keys, meta, "low:"),
        "order": float(meta.get("order", 0)),
        "inflight": float(meta.get("inflight", 0)),
        "lease_seq": float(meta.get("lease_seq", 0)),
        "est": _floats(keys.get("est", {})),
        "weights": _floats(keys.get("weights", {})),
        "held": keys.get("held", {}),
        "held_messages": float(meta.get("held", 0)),
        "marks": {n[6:]: fields for n, fields in keys.items() if n.startswith("marks:")},
        "since": keys.get("since", {}),
        "normal_waited": float(meta["normal_waited"]) if "normal_waited" in meta else None,
        "paused": "paused_at" in meta,
        "due": {
            id: (at, *_due(keys["due_messages"][id])) for id, at in keys.get("due", {}).items()
        },
        "producers": {n[2:]: int(value) for n, value in keys.items() if n.startswith("p:")},
        "leases": {consumer: found for consumer, found in leases.items() if found},
        "requests": {
            consumer: tuple(int(part) for part in fields["request"].split())
            for consumer, fields in held.items()
            if "request" in fields
        },
        "missed": {
            consumer: {int(lease) for lease in fields["missed"].split()}
            for consumer, fields in held.items()
            if "missed" in fields
        },
        "beats": keys.get("cons", {}),
        "slots": _floats(keys.get("slots", {})),
        "capacity": float(meta.get("capacity", 0)),
        "suspects": _floats(keys.get("suspects", {})),
        "served": {
            int(n[7:]): _floats(fields) for n, fields in keys.items() if n.startswith("served:")
        },
        "last_pass": float(meta["last_pass"]) if "last_pass" in meta else None,
        "grace": float(meta["grace"]) if "grace" in meta else None,
    }


def _roots(keys: Mapping[str, Any], meta: Mapping[str, str], prefix: str) -> dict[str, Any]:
    return {
        "v": float(meta.get(f"{prefix}v", 0)),
        "ring": keys.get(f"{prefix}ring", {}),
        "fresh": keys.get(f"{prefix}fresh", {}),
        "arrived": _floats(keys.get(f"{prefix}arrived", {})),
        "park": keys.get(f"{prefix}park", {}),
        "infl": _floats(keys.get(f"{prefix}infl", {})),
        "lists": _lists(keys, prefix),
        "ring_clock": float(meta.get(f"{prefix}ring_clock", 0)),
        "fresh_clock": float(meta.get(f"{prefix}fresh_clock", 0)),
        "waiting": float(meta.get(f"{prefix}waiting", 0)),
    }


def _lists(keys: Mapping[str, Any], prefix: str) -> dict[str, dict[int, Any]]:
    found: dict[str, dict[int, Any]] = {}
    for step in (0, 3, 6, 9):
        lists = f"{prefix}r{step or ''}:"
        for name, elements in keys.items():
            if name.startswith(lists):
                root = name.removeprefix(lists)
                found.setdefault(root, {})[step] = [_element(text) for text in elements]
    return found


def _floats(fields: Mapping[str, str]) -> dict[str, float]:
    return {name: float(value) for name, value in fields.items()}


def _element(text: str) -> tuple[int, int, int, str]:
    header, _, payload = text.partition("\n")
    published, deliveries, previous = (int(part) for part in header.split())
    return published, deliveries, previous, payload


def _due(text: str) -> tuple[Any, ...]:
    name, weight, step, deliveries, length, rest = text.split(" ", 5)
    told = None if weight == "-" else float(weight)
    return name == "low", told, int(step), int(deliveries), *_split(rest, int(length))


def _split(text: str, length: int) -> tuple[str, str]:
    """Split as the scripts do, who count bytes."""
    raw = text.encode()
    return raw[:length].decode(), raw[length:].decode()


def _leases(fields: Mapping[str, str]) -> dict[int, dict[str, Any]]:
    return {
        int(name[1:]): _lease(text) | {"element": _element(fields["m" + name[1:]])}
        for name, text in fields.items()
        if name[0] == "f"
    }


def _lease(text: str) -> dict[str, Any]:
    charged, served, weight, floor, side, name, length, rest = text.split(" ", 7)
    task, root = _split(rest, int(length))
    return {
        "low": name == "low",
        "root": root,
        "task": task,
        "charged": float(charged),
        "served": float(served),
        "weight": float(weight),
        "floor": float(floor),
        "side": side,
    }
