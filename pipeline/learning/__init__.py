"""What the machine may learn from people, each thing with a person's yes: proposals, other tables, cases."""
