"""Operations of `mcp_tool`."""
