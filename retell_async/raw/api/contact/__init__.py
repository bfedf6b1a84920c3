"""Operations of `contact`."""
