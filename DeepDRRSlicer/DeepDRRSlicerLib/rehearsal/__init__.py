"""Rehearsing a procedure: what is asked for, what was done, and how well it was done."""
