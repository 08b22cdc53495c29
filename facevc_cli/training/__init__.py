"""The training loop, the interface of a training step, and the learning rate schedule."""
