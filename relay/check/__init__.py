"""`relay check`: connects to everything that the relay needs, asks whether it would serve, and writes nothing."""
