"""Tables to design matrices and contrast weights."""
