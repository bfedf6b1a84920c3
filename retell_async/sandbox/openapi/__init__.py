"""What the API's pinned document says: operations, what their requests must be like, their names."""
