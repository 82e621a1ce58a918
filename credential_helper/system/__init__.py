"""What the operating system is asked: time, signals, who called us, child processes."""
