"""``retell-async <resource> <method>``: every operation of the API, made at run time from the table that is generated beside the client."""
