"""The pages: a shape each, and the markup that shows it."""
