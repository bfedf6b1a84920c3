"""Operations and models as the document has them."""
