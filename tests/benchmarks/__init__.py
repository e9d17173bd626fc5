"""What jobmonitor costs: ratios to plain Celery, measured in one run; for `make bench`."""
