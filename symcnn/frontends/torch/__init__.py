"""The torch front end: a module's own forward, run on tensors without values."""
