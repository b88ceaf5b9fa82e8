"""Questions to a traced network, one module per question."""
