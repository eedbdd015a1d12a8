"""One file a kind of work, each with a function `cases(context)`; they are found by themselves."""
