"""Figures of learning: each module offers ``records(quick, seed)``."""
