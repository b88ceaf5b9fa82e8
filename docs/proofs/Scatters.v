(** Scatters: transposed convolutions along one axis.

    Input i writes the outputs s*i - p ... s*i - p + r - 1, on an axis of length
    s*(x - 1) + r - 2*p + o. *)

Require Import ZArith Lia.
Require Import Floors Windows.
Open Scope Z_scope.

Definition scattered (r s p o x : Z) : Z := s * (x - 1) + r - 2 * p + o.

Definition writes (r s p i j : Z) : Prop := s * i - p <= j <= s * i - p + r - 1.

(** The inputs that write to output j. *)
Theorem scatter_pullback :
  forall r s p i j, s > 0 ->
  (writes r s p i j <-> ceiling (j + p - r + 1) s <= i <= (j + p) / s).
Proof.
  intros r s p i j Hs. unfold writes, ceiling.
  floor_of (j + p) s. floor_of (j + p - r + 1 + s - 1) s. nia.
Qed.

(** What a window reads, the scatter of the same numbers writes: one is the other's transpose. *)
Theorem scatter_transposes :
  forall r s p b i j, writes r s p i j <-> covers (Window r s p b) i j.
Proof. intros. unfold writes, covers; cbn [extent stride left right]. lia. Qed.

(** The window of the same numbers takes its size back. *)
Theorem scatter_size :
  forall r s p o x, s > 0 -> 0 <= o < s -> size (Window r s p p) (scattered r s p o x) = x.
Proof.
  intros r s p o x Hs Ho. unfold size, scattered; cbn [extent stride left right].
  assert ((s * (x - 1) + r - 2 * p + o + p + p - r) / s = x - 1); [|lia].
  apply floor_is; lia.
Qed.

Theorem scatter_grows :
  forall r s p o x y, s > 0 -> x <= y -> scattered r s p o x <= scattered r s p o y.
Proof. intros. unfold scattered. nia. Qed.
