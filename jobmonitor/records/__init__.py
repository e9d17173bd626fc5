"""Postgres: what is known about jobs.

Runs in: every process. Never imports Redis, kombu, Celery or Flask.
"""
