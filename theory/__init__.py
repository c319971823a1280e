"""sortnet.theory: the impossibility results and constructions, executable."""
