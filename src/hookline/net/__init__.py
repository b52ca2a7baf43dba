"""The only ways out: one HTTP client, one SMTP client, and the rules on where hooks may reach.

Nothing else in Hookline opens an outgoing connection for a user, so the guard against requests
into private networks (server-side request forgery) cannot be forgotten by a caller.
"""
