"""What the sandbox remembers, its time, and the journal that brings it back."""
