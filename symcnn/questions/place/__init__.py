"""Places: what part of an input decides what part of an output; tiles, shards, streams."""
