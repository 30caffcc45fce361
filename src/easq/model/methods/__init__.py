"""One file per method: network, loss, settings and label. Every file here is discovered.

A method is a subclass of `TrainableMethod` with a tag, its name. docs/add_a_method.md shows how to add one.
"""
