"""Tables: the same question for every row, as one batch."""
