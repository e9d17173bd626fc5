"""Operations on what waits in a queue of plain Redis: there nothing is steered."""

from __future__ import annotations

import redis

from tests.acceptance_fixtures import APP, imported_app
from tests.brokers import redis_of


def test_on_plain_redis_a_change_of_priority_is_published(
    environment: dict[str, str],
) -> None:
    plain = environment | {"BROKER_URL": redis_of(environment["BROKER_URL"])}
    with imported_app(APP, plain) as other:
        job_id = other.traced.apply_async(("plain",), queue="plain").id
        jobs = other.monitor.jobs
        assert jobs.set_low_priority(job_id)[0].changed
        assert jobs.remove_low_priority(job_id)[0].changed
        assert jobs.stop(job_id)[0].changed
        assert jobs.resume(job_id)[0].changed
        with redis.Redis.from_url(plain["BROKER_URL"]) as client:
            assert client.llen("plain") == 2
            assert client.llen("plain\x06\x169") == 1
            client.delete("plain", "plain\x06\x169")
        with other.monitor.database.connection() as connection:
            found = connection.execute(
                "SELECT dispatch, taken_dispatch FROM job WHERE id = %s", (job_id,)
            )
            assert found.fetchone() == (3, None)
