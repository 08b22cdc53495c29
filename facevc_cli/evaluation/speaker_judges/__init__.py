"""Speaker judges of other projects, which trained no model here. Their weights come with installed packages."""
