"""The data classes that parts hand to each other: arrays and what they are, no behaviour."""
