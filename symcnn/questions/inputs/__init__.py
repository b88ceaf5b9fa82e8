"""Which inputs: the domain, targets, budgets, the nearest valid size, what to mend."""
