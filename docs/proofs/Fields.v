(** Fields: what an output reads where paths join, and behind layers that read all. *)

Require Import ZArith Lia.
Require Import Floors Windows.
Open Scope Z_scope.

(** The least window over two of one stride: the greater of what each reads to either side. *)
Definition hull (f g : window) : window :=
  Window (Z.max (left f) (left g) + Z.max (extent f - left f) (extent g - left g)) (stride f)
         (Z.max (left f) (left g)) (Z.max (right f) (right g)).

(** Where two paths join, the hull is read, and its first and its last place are. *)
Theorem joined_paths :
  forall f g i, stride f = stride g -> extent f >= 1 -> extent g >= 1 ->
  (forall p, covers f i p \/ covers g i p -> covers (hull f g) i p) /\
  (forall p, p = stride f * i - left (hull f g) \/
             p = stride f * i - left (hull f g) + extent (hull f g) - 1 ->
             covers f i p \/ covers g i p).
Proof.
  intros [r s a b] [r' s' a' b'] i E Hf Hg. unfold covers, hull; cbn [extent stride left right] in *.
  subst s'. split; intros p H; lia.
Qed.

(** A path through both reads no less: the smallest field is that of one path. *)
Theorem joined_is_larger :
  forall f g, stride f = stride g -> extent f >= 1 -> extent g >= 1 ->
  extent f <= extent (hull f g) /\ extent g <= extent (hull f g).
Proof.
  intros [r s a b] [r' s' a' b'] E Hf Hg. unfold hull; cbn [extent stride left right] in *. lia.
Qed.

(** A layer that reads all hides what is in front of it: every output reads what any place does. *)
Theorem whole_hides :
  forall (all front : Z -> Z -> Prop) x, (forall i k, all i k <-> 0 <= k < x) ->
  forall i p, (exists k, all i k /\ front k p) <-> (exists k, 0 <= k < x /\ front k p).
Proof.
  intros all front x H i p. split; intros (k & A & F); exists k; split; auto; apply (H i k); auto.
Qed.

(** Paths of equal layers read equal places, whatever stands in front of them. *)
Theorem equal_paths :
  forall (f g front back : Z -> Z -> Prop), (forall i k, f i k <-> g i k) ->
  forall i p,
  (exists j k, back i j /\ f j k /\ front k p) <-> (exists j k, back i j /\ g j k /\ front k p).
Proof.
  intros f g front back E i p.
  split; intros (j & k & B & F & R); exists j, k; repeat split; try assumption; apply E; assumption.
Qed.
