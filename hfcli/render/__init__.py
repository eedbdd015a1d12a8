"""Results and events -> text. The only rooms that know rich; they compute nothing."""
