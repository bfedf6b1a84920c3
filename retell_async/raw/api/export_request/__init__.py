"""Operations of `export_request`."""
