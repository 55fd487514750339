"""Model families, a folder each: fields, their views and accumulators, models read from other tools."""
