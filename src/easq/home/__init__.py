"""A system's folder on disk: paths, snapshots, status files, the clock."""
