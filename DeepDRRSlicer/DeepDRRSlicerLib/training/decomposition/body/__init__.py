"""Parts of the synthetic bodies, and what paints them."""
