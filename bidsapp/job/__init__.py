"""What a call may use and what it left: processors, work folder, workers, what need not be done again."""
