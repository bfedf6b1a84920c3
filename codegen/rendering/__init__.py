"""What comes out of a prepared document: each file decided (`views`, `types`) and written (`render`, with the templates)."""
