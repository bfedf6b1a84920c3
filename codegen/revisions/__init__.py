"""From one revision of the document to another: the difference, the update and its traces."""
