"""Commands that are more than one operation of the API."""
