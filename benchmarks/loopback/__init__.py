"""The server that benchmarks and tests measure against."""
