"""Account look-up: what the team's own systems know of a verified sender."""
