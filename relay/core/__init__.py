"""The pure core: told what happened and what time it is, it replies with commands.

Nothing in here awaits, sleeps, logs, draws a random number or reads a clock; it imports the standard library, msgspec and itself.
"""
