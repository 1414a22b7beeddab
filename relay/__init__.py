"""The relay: raw player events from Kafka become ordered API sessions at a media analytics API."""
