"""From manifests to a data folder: downloads, imports, archives, and what is known of every file."""
