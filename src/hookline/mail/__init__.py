"""Composing and sending mail, and what is counted about it."""
