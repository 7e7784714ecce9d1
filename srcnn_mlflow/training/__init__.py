"""One fit, an epoch at a time: the only wing that imports torch.

The network in torch, its optimizers, batches of patches, validation, several processes, and
checkpoints. Nothing here knows MLflow: whoever calls a fit logs what it yields.
"""
