"""sortnet.theory: the impossibility results and constructions, executable.

Arrows go one way: report -> search -> theorems -> objects.

`objects`: exact numbers, Boolean functions, networks, lattice polynomials, circuits; `strategies`
draws them (Hypothesis), `convert` reads trained ones (torch), `results` says what a result is.
`theorems`: one file per result, with its statement, construction and check: `margin`, `mass`,
`boolean_impossibility` (3.5), `order_statistics` (3.6), `linf_dist` (3.8), `maxmin_depth` (3.9),
`circuits` (3.10), `sortnet_expressivity`, `piecewise_linear`, `mcshane`, `dropout_identity`.
`search`: networks trained against them. `report`: `registry` lists all results, `rows` runs them,
`plots` draws them, `coq_check` compiles the proofs, `model_check` puts a trained model under the
mass lemma. docs/theory.md tells it all.
"""
