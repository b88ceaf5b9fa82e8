(** Pads and crops, and operations at their idle arguments.

    A pad is a window of one place; a crop is a pad by less than nothing. An operation is idle where
    it returns what it is given: a branch that leaves it out is the operation itself. *)

Require Import ZArith Lia.
Require Import Floors Windows.
Open Scope Z_scope.

Definition pad (a b : Z) : window := Window 1 1 a b.

(** [x[start:stop:step]] of an axis of x. *)
Definition slice (start stop step x : Z) : window := Window 1 step (- start) (stop - x).

Theorem pad_size : forall a b x, size (pad a b) x = x + a + b.
Proof. intros. unfold size, pad; cbn [extent stride left right]. rewrite Z.div_1_r. lia. Qed.

Theorem pads_add : forall a b c d, fused (pad a b) (pad c d) = pad (a + c) (b + d).
Proof. intros. unfold fused, pad; cbn [extent stride left right]. f_equal; ring. Qed.

(** What was padded, cropped away, leaves what was there. *)
Theorem crop_undoes_pad : forall a b, fused (pad a b) (pad (- a) (- b)) = identity.
Proof. intros. rewrite pads_add. unfold pad, identity. f_equal; ring. Qed.

(** The padding of a layer is a pad in front of it. *)
Theorem padding_is_a_pad :
  forall w a b, fused (pad a b) w = Window (extent w) (stride w) (left w + a) (right w + b).
Proof.
  intros [r s c d] a b. unfold fused, pad; cbn [extent stride left right]. f_equal; ring.
Qed.

(** Ceil mode is a pad on the right, the same for every size. *)
Theorem ceil_is_a_pad :
  forall r s a x, s > 0 -> r >= 1 -> 0 <= a <= r ->
  torch_ceil r s a x = size (fused (pad 0 (ceil_pad r s a - a)) (Window r s a a)) x.
Proof.
  intros r s a x Hs Hr Ha. rewrite padding_is_a_pad. cbn [extent stride left right].
  rewrite ceil_law by assumption. repeat f_equal; ring.
Qed.

(** A slice has the places start, start + step, ... before stop. *)
Theorem slice_size :
  forall start stop step x i, step > 0 ->
  (i < size (slice start stop step x) x <-> start + step * i < stop).
Proof.
  intros start stop step x i H. unfold slice. rewrite window_size by (cbn; lia).
  cbn [extent stride left right]. lia.
Qed.

(** Windows that keep every size: those whose pads make up for their extent. *)
Theorem window_keeps :
  forall w, stride w > 0 ->
  ((forall x, size w x = x) <-> stride w = 1 /\ left w + right w = extent w - 1).
Proof.
  intros [r s a b] Hs. unfold size; cbn [extent stride left right] in *. split.
  - intros H. assert (s = 1).
    { pose proof (H 0) as H0. pose proof (H s) as H1.
      replace (s + a + b - r) with (s * 1 + (0 + a + b - r)) in H1 by ring.
      rewrite floor_of_multiple in H1 by lia. lia. }
    subst s. split; [reflexivity|]. specialize (H 0). rewrite Z.div_1_r in H. lia.
  - intros [H1 H2] x. subst s. rewrite Z.div_1_r. lia.
Qed.

(** The identity reads its own place, and is the idle pad and the idle slice. *)
Theorem identity_reads : forall i p, covers identity i p <-> p = i.
Proof. intros. unfold covers, identity; cbn [extent stride left right]. lia. Qed.

Theorem idle_pad : pad 0 0 = identity.
Proof. reflexivity. Qed.

Theorem idle_slice : forall x, slice 0 x 1 x = identity.
Proof. intros. unfold slice, identity. f_equal; ring. Qed.

(** [if c: x = f(x, p)] is [f(x, q)], where q is p if c holds, and else where f is idle. *)
Theorem idle_choice :
  forall (X P : Type) (f : X -> P -> X) idle, (forall x, f x idle = x) ->
  forall (c : bool) p q, (c = true -> q = p) -> (c = false -> q = idle) ->
  forall x, (if c then f x p else x) = f x q.
Proof.
  intros X P f idle H [|] p q Hp Hq x.
  - rewrite Hp; reflexivity.
  - rewrite Hq, H; reflexivity.
Qed.

(** [if w % n: pad by n - w % n] is one pad, to the next multiple. *)
Theorem pad_to_multiple :
  forall w n, n > 0 ->
  (if w mod n =? 0 then 0 else n - w mod n) = n * ceiling w n - w.
Proof.
  intros w n Hn. unfold ceiling. pose proof (Z.div_mod w n) as D.
  pose proof (Z.mod_pos_bound w n) as B. destruct (Z.eqb_spec (w mod n) 0) as [E | E].
  - assert (F : (w + n - 1) / n = w / n) by (apply floor_is; lia). rewrite F. lia.
  - assert (F : (w + n - 1) / n = w / n + 1) by (apply floor_is; nia). rewrite F. nia.
Qed.
