"""Host: the key broker's host process."""
