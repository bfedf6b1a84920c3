"""Which handlers run, when, and how they ended: events and inbound requests after they were verified and parsed."""
