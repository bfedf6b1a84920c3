"""What comes out of a prepared document: what the parser found, as classes, operations and resources, and written by templates."""
