"""HTTP: the API, the control interface under ``/sandbox/``, the page, and the server."""
