"""Carrying a request out: attempts, retries, limits, idempotency, reconciling."""
