"""Preparation: small steps from the document as published to one that templates can say. Each changes the document it is given."""
