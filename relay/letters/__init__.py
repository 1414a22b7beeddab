"""Dead letters as one works with them: read, replayed, exported, purged. `relay/cli/dead_letters.py` is the way to them."""
