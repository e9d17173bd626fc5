"""What a worker of these benchmarks runs."""

from __future__ import annotations

import json
import os

from tests.benchmarks.fair.jobs import make_app

app = make_app(
    os.environ["BENCH_KIND"], os.environ["BENCH_BROKER_URL"],
    json.loads(os.environ["BENCH_OPTIONS"]),
)  # fmt: skip
