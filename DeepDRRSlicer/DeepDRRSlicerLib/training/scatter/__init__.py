"""The program that makes the scatter network: bodies, pairs of views and their Monte Carlo scatter, training."""
