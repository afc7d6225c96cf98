"""The report: one self-contained HTML page with every table, chart and claim, and the evidence behind each score."""
