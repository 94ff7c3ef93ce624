"""What a workflow means here: its steps, its options, what a run of it may cost."""
