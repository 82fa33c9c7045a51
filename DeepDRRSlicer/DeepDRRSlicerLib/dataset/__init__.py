"""Labels and files of simulated views."""
