"""Chat models behind an agent: transcripts as chat messages, and endpoints that speak as OpenAI's do."""
