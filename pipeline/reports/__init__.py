"""The weekly report, the export, and everything about one ticket: what was measured, for people and programs."""
