"""Comparisons of the engine with published values, closed forms and sums computed by another route."""
