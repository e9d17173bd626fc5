"""The fair transport: whose turn it is, on Redis."""
