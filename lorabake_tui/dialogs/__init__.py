"""Modal screens that return a value to whoever pushed them."""
