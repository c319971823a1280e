(** * Main: every statement has a proof, and these are the axioms it uses

    [Check (X : X_statement)] fails to compile unless the theorem [X] proves the
    statement of [Statements.v]; [Print Assumptions] lists every axiom that the whole
    proof depends on.  Only those of Coq's real numbers may appear. *)

From SortNet Require Import Definitions Statements.
From SortNet Require Import Sums OrderStatistics Mass Lipschitz Boolean Tight Certificate.

Check (norm_is_max : norm_is_max_statement).
Print Assumptions norm_is_max.

Check (sort_sorts : sort_sorts_statement).
Print Assumptions sort_sorts.

Check (cyclic_ones : cyclic_ones_statement).
Print Assumptions cyclic_ones.

Check (families : families_statement).
Print Assumptions families.

Check (mass_lemma : mass_lemma_statement).
Print Assumptions mass_lemma.

Check (mass_lemma_groupsort : mass_lemma_groupsort_statement).
Print Assumptions mass_lemma_groupsort.

Check (order_stat_lipschitz : order_stat_lipschitz_statement).
Print Assumptions order_stat_lipschitz.

Check (network_lipschitz : network_lipschitz_statement).
Print Assumptions network_lipschitz.

Check (sortnet_neuron_lipschitz : sortnet_neuron_lipschitz_statement).
Print Assumptions sortnet_neuron_lipschitz.

Check (sortnet_contains_distance : sortnet_contains_distance_statement).
Print Assumptions sortnet_contains_distance.

Check (theorem_3_5 : theorem_3_5_statement).
Print Assumptions theorem_3_5.

Check (theorem_3_5_tight : theorem_3_5_tight_statement).
Print Assumptions theorem_3_5_tight.

Check (theorem_3_6 : theorem_3_6_statement).
Print Assumptions theorem_3_6.

Check (theorem_3_6_tight : theorem_3_6_tight_statement).
Print Assumptions theorem_3_6_tight.

Check (groupsort_radius : groupsort_radius_statement).
Print Assumptions groupsort_radius.

Check (groupsort_error : groupsort_error_statement).
Print Assumptions groupsort_error.

Check (groupsort_depth : groupsort_depth_statement).
Print Assumptions groupsort_depth.

Check (lipschitz_radius : lipschitz_radius_statement).
Print Assumptions lipschitz_radius.

Check (margin_certificate : margin_certificate_statement).
Print Assumptions margin_certificate.

Check (weights_to_radius : weights_to_radius_statement).
Print Assumptions weights_to_radius.

Check (computed_margin : computed_margin_statement).
Print Assumptions computed_margin.

Check (rounded_certificate : rounded_certificate_statement).
Print Assumptions rounded_certificate.
