"""The command line: one thin file a command, and the one error boundary in `app`."""
