"""Operations of `batch_call`."""
