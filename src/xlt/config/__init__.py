"""The typed, validated view of ``configs/``: benchmark, regimes, and the config of one run."""
