"""What the official SDK has under this name."""
