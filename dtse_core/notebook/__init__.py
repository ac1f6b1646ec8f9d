"""What a lesson calls: set-up and checks, plots, explorers, a player, exercises."""
