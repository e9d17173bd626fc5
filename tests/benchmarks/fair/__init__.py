"""What the fair order gives and costs beside plain Celery; for `make bench-fair`."""
