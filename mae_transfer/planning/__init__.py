"""What a training needs, worked out before it starts: memory, FLOPs, days, and how its batch is divided."""
