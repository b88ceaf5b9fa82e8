(** Floors of integers: the normal form, bounds, divisibility.

    [e / n] is the floor of the quotient for n > 0, as in Python and in torch's [//]. *)

Require Import ZArith Lia.
Open Scope Z_scope.

(** What a floor is: the law that all others follow from. *)
Theorem floor_is : forall e n q, n > 0 -> (e / n = q <-> n * q <= e < n * q + n).
Proof.
  intros e n q Hn. pose proof (Z.div_mod e n) as D. pose proof (Z.mod_pos_bound e n) as B.
  split; intros H.
  - subst q. lia.
  - symmetry. apply Z.div_unique_pos with (r := e - n * q); lia.
Qed.

Ltac by_floor := rewrite floor_is by nia.

(** The facts about the floor [e / n], for lia. *)
Ltac floor_of e n :=
  let H := fresh "F" in
  assert (H : n * (e / n) <= e < n * (e / n) + n) by (apply floor_is; [nia | reflexivity]).

Theorem floor_of_multiple : forall e n q, n > 0 -> (n * q + e) / n = q + e / n.
Proof. intros. floor_of e n. by_floor. nia. Qed.

Theorem floor_of_common_factor :
  forall e c g n, g > 0 -> n > 0 -> (g * e + c) / (g * n) = (e + c / g) / n.
Proof.
  intros. floor_of c g. floor_of (e + c / g) n. by_floor.
  set (k := c / g) in *. set (t := (e + k) / n) in *.
  assert (g * (n * t) <= g * (e + k)) by nia.
  assert (g * (e + k + 1) <= g * (n * t + n)) by nia. nia.
Qed.

Theorem floor_of_floor :
  forall e f m n, m > 0 -> n > 0 -> (e / m + f) / n = (e + m * f) / (m * n).
Proof.
  intros e f m n Hm Hn. replace (e + m * f) with (m * f + e) by lia.
  rewrite floor_of_common_factor by lia. f_equal. lia.
Qed.

Theorem floor_of_negative : forall e n, n > 0 -> (- e) / n = - ((e + n - 1) / n).
Proof. intros. floor_of (e + n - 1) n. by_floor. nia. Qed.

Theorem floor_of_half : forall e, e - e / 2 = (e + 1) / 2.
Proof. intros. floor_of e 2. symmetry. by_floor. lia. Qed.

Theorem floor_at_least : forall e m t, m > 0 -> (e / m >= t <-> e >= m * t).
Proof. intros. floor_of e m. nia. Qed.

Theorem floor_at_most : forall e m t, m > 0 -> (e / m <= t <-> e <= m * t + m - 1).
Proof. intros. floor_of e m. nia. Qed.

Theorem floor_is_monotone : forall e f m, m > 0 -> e <= f -> e / m <= f / m.
Proof. intros. floor_of e m. floor_of f m. nia. Qed.

(** On a set where [e mod n] is one number, the floor is a quotient without a rest. *)
Theorem domain_law : forall e n c, n > 0 -> e mod n = c -> n * (e / n) = e - c.
Proof. intros e n c Hn H. pose proof (Z.div_mod e n). lia. Qed.

(** Where one side of a maximum always wins, the maximum is that side. *)
Theorem domain_law_max : forall a b, a >= b -> Z.max a b = a.
Proof. intros. lia. Qed.

Lemma multiple : forall e n, n > 0 -> (e mod n = 0 <-> exists q, e = n * q).
Proof.
  intros e n Hn. split.
  - intros H. exists (e / n). pose proof (Z.div_mod e n). lia.
  - intros [q H]. subst. rewrite Z.mul_comm. apply Z.mod_mul. lia.
Qed.

(** A view with a -1 has a whole number of rows exactly where the others divide what there is. *)
Theorem view_law :
  forall total others, others > 0 ->
  ((exists rows, total = others * rows) <-> total mod others = 0).
Proof. intros. symmetry. apply multiple. assumption. Qed.

Theorem divisibility_steps :
  forall e m n, m > 0 -> n > 0 -> (e mod m = 0 /\ (e / m) mod n = 0 <-> e mod (m * n) = 0).
Proof.
  intros e m n Hm Hn. rewrite !multiple by nia. split.
  - intros [[q Hq] [p Hp]]. exists p. subst e.
    replace (m * q / m) with q in Hp by (symmetry; apply floor_is; nia). nia.
  - intros [p Hp]. split.
    + exists (n * p). lia.
    + exists p. apply floor_is; nia.
Qed.

(** A product is a multiple of n exactly where its factors are multiples of a way to write n. *)
Theorem product_is_multiple :
  forall f g n, n > 0 ->
  ((f * g) mod n = 0 <->
   exists d e, d > 0 /\ e > 0 /\ n = d * e /\ f mod d = 0 /\ g mod e = 0).
Proof.
  intros f g n Hn. rewrite multiple by lia. split.
  - intros [q Hq].
    assert (Hd : Z.gcd f n > 0).
    { pose proof (Z.gcd_nonneg f n). assert (Z.gcd f n <> 0); [|lia].
      intros Z0. apply Z.gcd_eq_0 in Z0. lia. }
    destruct (Z.gcd_divide_r f n) as [e He]. destruct (Z.gcd_divide_l f n) as [k Hk].
    exists (Z.gcd f n), e. set (d := Z.gcd f n) in *.
    assert (He' : e > 0) by nia.
    repeat split; try lia.
    + apply multiple; [lia|]. exists k. lia.
    + apply multiple; [lia|].
      assert (G : (e | g)).
      { apply Z.gauss with (m := k).
        - exists q. apply Z.mul_reg_l with (p := d); nia.
        - assert (D : d * Z.gcd e k = d).
          { rewrite <- Z.gcd_mul_mono_l_nonneg by lia. rewrite Z.gcd_comm.
            replace (d * k) with f by lia. replace (d * e) with n by lia. reflexivity. }
          nia. }
      destruct G as [t Ht]. exists t. lia.
  - intros (d & e & Hd & He & Hn' & Hf & Hg).
    apply multiple in Hf; [|lia]. apply multiple in Hg; [|lia].
    destruct Hf as [a Ha]. destruct Hg as [b Hb]. exists (a * b). subst. ring.
Qed.
