"""`relay tap`: follows what players say, beside the relays that deliver it."""
