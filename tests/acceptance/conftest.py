"""The app of these tests and its workers."""

from tests.acceptance.verbs_world import verbs, verbs_worker
from tests.acceptance_fixtures import environment, shop, start_worker, trace, worker

__all__ = [
    "environment", "shop", "start_worker", "trace", "verbs", "verbs_worker", "worker",
]  # fmt: skip
