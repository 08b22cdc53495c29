"""The page of an evaluation: tables, plots, players."""
