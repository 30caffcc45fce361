"""Networks, losses and methods: tensors in, scores and losses out."""
