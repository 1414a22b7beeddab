"""Kafka, one module for each outside thing: the consumer, the producer of dead letters, the topics. None of them decides anything."""
