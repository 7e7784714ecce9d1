"""A file an entry point: the steps of the experiment, in the order in which they happen.

The steps of a training, which has many, stand in `train_*.py`.
A command calls the wings and hands the result of each step to the next. How anything is computed,
drawn or logged stands in the wing that does it.
"""
