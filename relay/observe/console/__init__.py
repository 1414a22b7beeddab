"""The console: what a running relay shows of itself, as pages for people and as JSON for programs."""
