"""What the sandbox asks of the user's own endpoints: webhooks, custom functions, inbound requests, custom LLMs."""
