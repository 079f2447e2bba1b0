"""The sample inbox that `triage demo` feeds in, with its account data and policy: package data, no code."""
