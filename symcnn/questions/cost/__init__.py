"""What a network costs: parameters, MACs, FLOPs, memory, by convention."""
