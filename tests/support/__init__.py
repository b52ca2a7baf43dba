"""Real counterparts for tests: receivers, mail servers, and an engine to drive by hand."""
