"""What plan the facts hold: one model, whatever form the documents have."""
