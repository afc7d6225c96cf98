"""From run folders to tables: reads files only, knows no model and no training."""
