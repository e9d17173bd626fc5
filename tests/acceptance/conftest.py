"""The app of these tests and its workers."""

from tests.acceptance.steering_world import consumed, line, steering_tasks
from tests.acceptance.verbs_world import verbs, verbs_worker
from tests.acceptance_fixtures import environment, shop, start_worker, trace, worker

__all__ = [
    "consumed", "environment", "line", "shop", "start_worker", "steering_tasks", "trace",
    "verbs", "verbs_worker", "worker",
]  # fmt: skip
