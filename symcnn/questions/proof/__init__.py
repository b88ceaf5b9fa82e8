"""What is true for all sizes: closed forms and claims."""
