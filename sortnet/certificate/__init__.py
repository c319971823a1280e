"""What is true of a network, derived from its operations; numpy only."""
