(** Repeats: a block run n times, as a recurrence along one axis. *)

Require Import ZArith Lia.
Require Import Floors Windows.
Open Scope Z_scope.

(** f 0 + ... + f (n - 1). *)
Fixpoint sum (f : nat -> Z) (n : nat) : Z :=
  match n with O => 0 | S m => sum f m + f m end.

Fixpoint power (s : Z) (n : nat) : Z :=
  match n with O => 1 | S m => s * power s m end.

Lemma power_is_positive : forall s n, s > 0 -> power s n > 0.
Proof. intros s n Hs. induction n; simpl; nia. Qed.

Theorem repeat_sum :
  forall (x : nat -> Z) b, (forall i, x (S i) = x i + b i) -> forall n, x n = x O + sum b n.
Proof.
  intros x b H n. induction n as [|n IH]; simpl; [lia|]. rewrite H, IH. lia.
Qed.

Theorem repeat_linear :
  forall (x : nat -> Z) a b, (forall i, x (S i) = a * x i + b) ->
  forall n, x n = power a n * x O + b * sum (power a) n.
Proof.
  intros x a b H.
  assert (G : forall n, a * sum (power a) n + 1 = sum (power a) n + power a n).
  { induction n as [|n IH]; cbn [sum power]; [lia|]. rewrite Z.mul_add_distr_l. lia. }
  intros n. induction n as [|n IH]; cbn [sum power]; [lia|]. rewrite H, IH.
  pose proof (f_equal (Z.mul b) (G n)) as P. rewrite !Z.mul_add_distr_l in *. lia.
Qed.

Theorem repeat_floor :
  forall (x : nat -> Z) c s, s > 0 -> (forall i, x (S i) = (x i + c i) / s) ->
  forall n, x n = (x O + sum (fun j => c j * power s j) n) / power s n.
Proof.
  intros x c s Hs H n. induction n as [|n IH].
  - simpl. rewrite Z.div_1_r. lia.
  - rewrite H, IH. pose proof (power_is_positive s n Hs).
    rewrite floor_of_floor by lia. cbn [sum power]. f_equal; ring.
Qed.

(** A sum of differences telescopes: how costs of blocks add up. *)
Theorem repeat_cost :
  forall (t q : nat -> Z) r, (forall i, t i = q (S i) * power r (S i) - q i * power r i) ->
  forall n, sum t n = q n * power r n - q O.
Proof.
  intros t q r H n. induction n as [|n IH]; cbn [sum].
  - cbn [power]. lia.
  - rewrite IH, H. lia.
Qed.

(** Blocks that read from [a i x] on, a rising function: the last block's place goes back through all. *)
Fixpoint back (a : nat -> Z -> Z) (n : nat) (x : Z) : Z :=
  match n with O => x | S m => back a m (a m x) end.

Theorem repeat_field :
  forall a, (forall i x y, x <= y -> a i x <= a i y) ->
  forall n x y, x <= y -> back a n x <= back a n y.
Proof.
  intros a H n. induction n as [|n IH]; intros x y L; cbn [back]; [exact L|].
  apply IH, H, L.
Qed.

(** n windows, one after the other. *)
Fixpoint chain (w : nat -> window) (n : nat) : window :=
  match n with O => identity | S m => fused (chain w m) (w m) end.

Fixpoint strides (w : nat -> window) (n : nat) : Z :=
  match n with O => 1 | S m => strides w m * stride (w m) end.

Theorem repeat_windows :
  forall w n,
  extent (chain w n) = 1 + sum (fun i => strides w i * (extent (w i) - 1)) n /\
  stride (chain w n) = strides w n /\
  left (chain w n) = sum (fun i => strides w i * left (w i)) n /\
  right (chain w n) = sum (fun i => strides w i * right (w i)) n.
Proof.
  intros w n. induction n as [|n IH]; [cbn; lia|].
  destruct IH as (E & S & L & R). cbn [chain sum strides].
  unfold fused; cbn [extent stride left right]. rewrite E, S, L, R. lia.
Qed.
