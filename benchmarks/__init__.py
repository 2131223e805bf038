"""Each headline figure as a command that measures us and a peer in one run."""
