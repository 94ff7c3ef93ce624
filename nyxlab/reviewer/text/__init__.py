"""What the words of a plan say: Markdown read once into facts, by one grammar each."""
