"""What is kept how long, and how one person's data is erased on request; the counts stay."""
