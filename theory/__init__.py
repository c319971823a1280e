"""sortnet.theory: the impossibility results and constructions, executable.

Objects: `exact`, `boolean`, `networks`, `lattice`. One module for each result: `margin`, `mass`,
`boolean_impossibility` (3.5), `order_statistics` (3.6), `linf_dist` (3.8), `maxmin_depth` (3.9),
`circuits` (3.10), `sortnet_expressivity`, `piecewise_linear`, `mcshane`, `dropout_identity`; each
says its statement, builds its construction and checks it. `registry` lists them, `report` and `cli`
run them, `coq_check` compiles the proofs. `strategies` (Hypothesis), `search`, `convert` and
`model_check` (torch) and `plots` (Matplotlib) are imported on demand. docs/theory.md tells it all.
"""
