"""Host: what the gateway answers, by subject."""
