"""What people look at: figures, reports and pages, made from numbers and pictures.

Nothing here computes a score or decides anything; it draws what it is given.
"""
