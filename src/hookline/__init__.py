"""Hookline: something happens, and the right thing is done about it."""

__version__ = "0.1.0"
