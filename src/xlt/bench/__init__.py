"""Speed and memory side by side: this project, what people use today, and the limit (docs/performance.md)."""
