"""The statistics of a voxel under every shuffle, one design a file."""
