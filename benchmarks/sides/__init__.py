"""What is compared. These modules run in environments of their own, which hold nothing of this repository, and import only one another."""
