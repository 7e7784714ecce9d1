"""Modules under the names that they had before the wings, for versions that were registered then.

A registered version brings its own code. In a process that has imported this package already, the
served model of such a version asks this package for its modules instead, by their names of then:
only these, and only what it takes from them. Nothing else may import from here.
"""
