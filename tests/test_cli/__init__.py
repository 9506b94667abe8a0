"""The command: what it prints, what it writes, and that every mistake is one line and exit code 2."""
