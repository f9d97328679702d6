"""What the networks of all routes share: recurrent cells, the training loop, splits, checkpoints."""
