"""The shuffles that a design allows, and how they are drawn."""
