"""Methods by hand: what resources inherit beside what is generated, as `openapi/surface.yaml` says."""
