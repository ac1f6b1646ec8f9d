"""What training is made of, beside its loop: the clips of a step, optimizer and rates, the run folder, the cost."""
