"""How fast LFADS trains here, beside PyTorch code of the same mathematics: `myodrive bench speed`."""
