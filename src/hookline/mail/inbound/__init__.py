"""Mail that comes back: what it says, read without trust, within bounds of time and memory."""
