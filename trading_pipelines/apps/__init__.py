"""What a person starts: command line, demo, doctor."""
