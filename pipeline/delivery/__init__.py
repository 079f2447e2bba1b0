"""Replies out: composed, claimed, handed over once, and recorded."""
