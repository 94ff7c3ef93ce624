"""The bench: the one place that wires engine, gate and reviewer together, and what people touch."""
