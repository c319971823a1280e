(** * Main: every statement has a proof, and these are the axioms it uses

    [Check (X : X_statement)] compiles only if the theorem [X] proves the statement
    of [Statements.v].  [Print Assumptions] then lists every axiom that any of the
    proofs depends on: only those of Coq's real numbers may appear. *)

From SortNet Require Import Definitions Statements.
From SortNet Require Import Sums OrderStatistics Mass Lipschitz Boolean Tight Constructions
  Circuits MaxMin Selection Depth Containment McShane Slopes Dropout
  Certificate.

Check (norm_is_max : norm_is_max_statement).
Check (sort_sorts : sort_sorts_statement).
Check (order_stat_counts : order_stat_counts_statement).
Check (cyclic_ones : cyclic_ones_statement).
Check (families : families_statement).
Check (mass_lemma : mass_lemma_statement).
Check (mass_lemma_groupsort : mass_lemma_groupsort_statement).
Check (mass_lemma_norm : mass_lemma_norm_statement).
Check (order_stat_lipschitz : order_stat_lipschitz_statement).
Check (network_lipschitz : network_lipschitz_statement).
Check (network_norm : network_norm_statement).
Check (sortnet_neuron_lipschitz : sortnet_neuron_lipschitz_statement).
Check (sortnet_contains_distance : sortnet_contains_distance_statement).
Check (sortnet_contains_groupsort : sortnet_contains_groupsort_statement).
Check (theorem_3_5 : theorem_3_5_statement).
Check (theorem_3_5_tight : theorem_3_5_tight_statement).
Check (theorem_3_5_tight_symmetric : theorem_3_5_tight_symmetric_statement).
Check (theorem_3_6 : theorem_3_6_statement).
Check (theorem_3_6_tight : theorem_3_6_tight_statement).
Check (groupsort_radius : groupsort_radius_statement).
Check (groupsort_radius_norm : groupsort_radius_norm_statement).
Check (groupsort_error : groupsort_error_statement).
Check (groupsort_error_norm : groupsort_error_norm_statement).
Check (groupsort_depth : groupsort_depth_statement).
Check (theorem_3_9_tight : theorem_3_9_tight_statement).
Check (lipschitz_radius : lipschitz_radius_statement).
Check (theorem_3_8_boolean : theorem_3_8_boolean_statement).
Check (theorem_3_8_radius : theorem_3_8_radius_statement).
Check (theorem_3_8_order_statistic : theorem_3_8_order_statistic_statement).
Check (distance_slopes : distance_slopes_statement).
Check (distance_not_mean : distance_not_mean_statement).
Check (theorem_3_10_selection : theorem_3_10_selection_statement).
Check (theorem_3_10_circuits : theorem_3_10_circuits_statement).
Check (theorem_3_10_counting : theorem_3_10_counting_statement).
Check (theorem_3_10_depth : theorem_3_10_depth_statement).
Check (theorem_3_11_circuit : theorem_3_11_circuit_statement).
Check (theorem_3_11_finite : theorem_3_11_finite_statement).
Check (theorem_3_11 : theorem_3_11_statement).
Check (mcshane : mcshane_statement).
Check (mcshane_tight : mcshane_tight_statement).
Check (grid_net : grid_net_statement).
Check (distance_universal : distance_universal_statement).
Check (dropout_identity : dropout_identity_statement).
Check (margin_certificate : margin_certificate_statement).
Check (margin_certificate_closed : margin_certificate_closed_statement).
Check (weights_to_radius : weights_to_radius_statement).
Check (weights_to_radius_norm : weights_to_radius_norm_statement).
Check (computed_margin : computed_margin_statement).
Check (rounded_certificate : rounded_certificate_statement).

Definition all_theorems :=
  (norm_is_max,
   sort_sorts,
   order_stat_counts,
   cyclic_ones,
   families,
   mass_lemma,
   mass_lemma_groupsort,
   mass_lemma_norm,
   order_stat_lipschitz,
   network_lipschitz,
   network_norm,
   sortnet_neuron_lipschitz,
   sortnet_contains_distance,
   sortnet_contains_groupsort,
   theorem_3_5,
   theorem_3_5_tight,
   theorem_3_5_tight_symmetric,
   theorem_3_6,
   theorem_3_6_tight,
   groupsort_radius,
   groupsort_radius_norm,
   groupsort_error,
   groupsort_error_norm,
   groupsort_depth,
   theorem_3_9_tight,
   lipschitz_radius,
   theorem_3_8_boolean,
   theorem_3_8_radius,
   theorem_3_8_order_statistic,
   distance_slopes,
   distance_not_mean,
   theorem_3_10_selection,
   theorem_3_10_circuits,
   theorem_3_10_counting,
   theorem_3_10_depth,
   theorem_3_11_circuit,
   theorem_3_11_finite,
   theorem_3_11,
   mcshane,
   mcshane_tight,
   grid_net,
   distance_universal,
   dropout_identity,
   margin_certificate,
   margin_certificate_closed,
   weights_to_radius,
   weights_to_radius_norm,
   computed_margin,
   rounded_certificate).

Print Assumptions all_theorems.
