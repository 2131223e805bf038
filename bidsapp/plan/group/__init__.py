"""The plan of the group stage: who is in which model, with which contrasts and options."""
