"""The gate decides which provider answers: one, or the best of several, with the reasons written down."""
