"""How answers look: text tables here; other formats beside it."""
