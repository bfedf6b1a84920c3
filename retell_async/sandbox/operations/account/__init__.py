"""Operations on the account: its numbers, contacts, apps and files."""
