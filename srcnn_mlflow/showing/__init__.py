"""What people look at: figures, reports and pages, made from numbers and pictures.

Which pictures are shown is chosen here; no score is computed here, and no verdict made.
"""
