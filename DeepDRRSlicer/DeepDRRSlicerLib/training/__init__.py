"""Programs that make the shipped weights; nothing here is needed to use them."""
