-- prepare_days: make sure that the logs of the coming days have their partitions.
SELECT job_log_days(%(ahead)s::int) AS made
