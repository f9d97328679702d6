"""Activity from movement and forces, through a musculoskeletal model."""
