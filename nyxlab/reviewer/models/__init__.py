"""What models say about a plan: questions, their answers as claims, evidence, agreement."""
