"""What every wing stands on: requests and their answers, JSON from outside, the guard against failures."""
