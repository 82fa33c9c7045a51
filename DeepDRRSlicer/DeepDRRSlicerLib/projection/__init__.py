"""Area densities of a material volume seen by a cone beam."""
