"""Operations of `concurrency`."""
