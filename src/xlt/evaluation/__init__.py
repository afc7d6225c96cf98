"""Predictions, metrics and scores; everything meets in files of XTREME's submission layout."""
