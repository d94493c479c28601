"""What tests share: cells, laws, closed forms and reference values."""
