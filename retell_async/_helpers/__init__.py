"""Methods by hand: what resources inherit beside what is generated, as `openapi/surface.yaml` says."""

from __future__ import annotations

WITHIN = 7200.0
"""Seconds that are waited by default: longer than calls last."""
