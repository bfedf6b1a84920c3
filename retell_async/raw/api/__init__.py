"""One module an operation, by resource."""
