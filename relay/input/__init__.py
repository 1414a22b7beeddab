"""Record bytes → player events, or the reason why not."""
