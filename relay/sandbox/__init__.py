"""What ships so that anybody can try the relay: an embedded broker, a strict fake of the API, simulated players, a demo.

Nothing outside this folder imports from it, except the commands that start it.
"""
