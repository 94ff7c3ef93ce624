"""The engine runs workflows durably: a DAG of steps, every step and call recorded, nothing recorded bought twice."""
