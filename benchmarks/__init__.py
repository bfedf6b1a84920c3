"""What this package costs, always beside the official SDK measured in the same run: `make bench`."""
