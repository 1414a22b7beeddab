"""What the operators see: metrics, logs, and the small server that shows both health and figures."""
