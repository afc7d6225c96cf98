"""Zero-shot cross-lingual transfer on XTREME-R: adapters, full fine-tuning and robust training, compared."""

__version__ = "0.1.0"
