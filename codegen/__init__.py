"""From the pinned document to the package: build time only, never imported by it."""
