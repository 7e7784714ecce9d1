"""MLflow, and nothing else: the only wing that imports it.

Runs and what they are told, what waits for a server that is away, versions in the registry, the
model that is served, a model in a process of its own, and studies. How a number is computed, or
how a page looks, is not known here.
"""
