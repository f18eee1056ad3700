"""How networks are trained, whatever they are: checkpoints, several processes, looks before."""
