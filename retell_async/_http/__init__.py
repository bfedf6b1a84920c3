"""The one wing that speaks HTTP: connections, transports, and clients to give to the client."""
