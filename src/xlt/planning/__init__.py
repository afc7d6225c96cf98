"""From a profile to the make rules of its runs, and what they cost."""
