"""What a dataset holds: folders, runs, their entities, times and anatomy."""
