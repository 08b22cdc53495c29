"""Pictures of faces: composites, mixtures of them, and photos that are moved towards one."""
