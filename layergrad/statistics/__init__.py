"""From gradients to small tables: curves, their roughness, layer means, differences between responses. No torch."""
