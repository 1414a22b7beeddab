"""Outside, towards the API: what is said (the dialects), and how it gets there (client and transports)."""
