"""What people see: rows, words, tables, pages. No view knows the store."""
