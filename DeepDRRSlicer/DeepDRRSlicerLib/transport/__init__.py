"""Monte Carlo transport of photons through the material volume: scatter, dose, and a reference for both."""
