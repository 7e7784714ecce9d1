"""What an enlarged picture is worth: numbers from planes, and verdicts from numbers.

Metrics, the protocol of an evaluation, the gate of a promotion, and how several models compare.
Nothing here imports torch or MLflow, or knows how a network runs; a model is a function of planes.
"""
