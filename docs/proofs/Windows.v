(** Windows: convolutions and pools along one axis.

    A window has an extent r, a stride s, and pads a (left) and b (right). Output i covers the
    places s*i - a ... s*i - a + r - 1 of the input, of which there are x. *)

Require Import ZArith Lia.
Require Import Floors.
Open Scope Z_scope.

Record window := Window { extent : Z; stride : Z; left : Z; right : Z }.

Definition size (w : window) (x : Z) : Z :=
  (x + left w + right w - extent w) / stride w + 1.

Definition covers (w : window) (i p : Z) : Prop :=
  stride w * i - left w <= p <= stride w * i - left w + extent w - 1.

(** [f] and then [g]. *)
Definition fused (f g : window) : window :=
  Window (extent f + stride f * (extent g - 1)) (stride f * stride g)
         (left f + stride f * left g) (right f + stride f * right g).

Definition identity : window := Window 1 1 0 0.

(** The size counts the windows that end inside the padded axis. *)
Theorem window_size :
  forall w x i, stride w > 0 ->
  (i < size w x <-> stride w * i + extent w <= x + left w + right w).
Proof.
  intros [r s a b] x i H. unfold size; cbn [extent stride left right] in *. floor_of (x + a + b - r) s. nia.
Qed.

(** There is a window exactly where the first one fits. *)
Theorem window_domain :
  forall w x, stride w > 0 -> (size w x >= 1 <-> x + left w + right w >= extent w).
Proof.
  intros [r s a b] x H. unfold size; cbn [extent stride left right] in *. floor_of (x + a + b - r) s. nia.
Qed.

(** Outputs i ... j read from the first place of i to the last of j, and both are read. *)
Theorem window_pullback :
  forall w i j p, stride w > 0 -> extent w >= 1 -> i <= j ->
  (forall k, i <= k <= j -> covers w k p ->
    stride w * i - left w <= p <= stride w * j - left w + extent w - 1) /\
  covers w i (stride w * i - left w) /\
  covers w j (stride w * j - left w + extent w - 1).
Proof.
  intros [r s a b] i j p Hs Hr Hij. unfold covers; cbn [extent stride left right] in *.
  split; [intros k Hk Hp; nia | split; nia].
Qed.

Theorem window_grows : forall w x y, stride w > 0 -> x <= y -> size w x <= size w y.
Proof.
  intros [r s a b] x y Hs H. unfold size; cbn [extent stride left right] in *.
  assert ((x + a + b - r) / s <= (y + a + b - r) / s) by (apply floor_is_monotone; lia). lia.
Qed.

Theorem fusion_size :
  forall f g x, stride f > 0 -> stride g > 0 -> size g (size f x) = size (fused f g) x.
Proof.
  intros [r s a b] [r' s' a' b'] x Hf Hg. unfold size, fused; cbn [extent stride left right] in *.
  replace ((x + a + b - r) / s + 1 + a' + b' - r')
    with ((x + a + b - r) / s + (1 + a' + b' - r')) by lia.
  rewrite floor_of_floor by lia. f_equal. f_equal. nia.
Qed.

(** What is read through both is read by the fused window, and its first and last are read. *)
Theorem fusion_pullback :
  forall f g i, stride f > 0 -> stride g > 0 -> extent f >= 1 -> extent g >= 1 ->
  (forall k p, covers g i k -> covers f k p -> covers (fused f g) i p) /\
  (exists k, covers g i k /\
    covers f k (stride (fused f g) * i - left (fused f g))) /\
  (exists k, covers g i k /\
    covers f k (stride (fused f g) * i - left (fused f g) + extent (fused f g) - 1)).
Proof.
  intros [r s a b] [r' s' a' b'] i Hf Hg Ef Eg. unfold covers, fused; cbn [extent stride left right] in *.
  split; [intros k p Hk Hp; nia | split].
  - exists (s' * i - a'). nia.
  - exists (s' * i - a' + r' - 1). nia.
Qed.

Theorem fusion_identity : forall w, fused identity w = w /\ fused w identity = w.
Proof.
  intros [r s a b]. unfold fused, identity; cbn [extent stride left right]. split; f_equal; ring.
Qed.

Theorem fusion_is_associative :
  forall f g h, fused (fused f g) h = fused f (fused g h).
Proof.
  intros [r s a b] [r' s' a' b'] [r'' s'' a'' b'']. unfold fused; cbn [extent stride left right]. f_equal; ring.
Qed.

(** Ceil mode: a window counts if the ceiling has room for it and it starts inside the input or
    the left padding. *)
Definition ceil_pad (r s a : Z) : Z := Z.min (r - 1) (a + s - 1).

Theorem ceil_law_windows :
  forall r s a x i, s > 0 ->
  (s * i < x + 2 * a - r + s /\ s * i < x + a <->
   i < size (Window r s a (ceil_pad r s a)) x).
Proof.
  intros r s a x i Hs. unfold size, ceil_pad; cbn [extent stride left right].
  set (e := x + a + Z.min (r - 1) (a + s - 1) - r). floor_of e s.
  assert (G : i <= e / s <-> s * i <= e) by nia.
  assert (E : s * i <= e <-> s * i < x + 2 * a - r + s /\ s * i < x + a) by (unfold e; lia).
  rewrite <- E, <- G. lia.
Qed.

(** Torch's own words: the ceiling, less one if the last window would start past input and left
    padding (pooling_output_shape, ATen/native/Pool.h). *)
Definition ceiling (e n : Z) : Z := (e + n - 1) / n.

Definition torch_ceil (r s a x : Z) : Z :=
  let o := ceiling (x + 2 * a - r) s + 1 in
  if (o - 1) * s >=? x + a then o - 1 else o.

Theorem ceil_law :
  forall r s a x, s > 0 -> r >= 1 -> 0 <= a <= r ->
  torch_ceil r s a x = size (Window r s a (ceil_pad r s a)) x.
Proof.
  intros r s a x Hs Hr Ha. unfold torch_ceil, ceiling, size, ceil_pad; cbn [extent stride left right].
  floor_of (x + 2 * a - r + s - 1) s.
  set (q := (x + 2 * a - r + s - 1) / s) in *. clearbody q.
  replace (q + 1 - 1) with q by lia.
  destruct (Z.geb_spec (q * s) (x + a)) as [H | H].
  - symmetry. assert ((x + a + Z.min (r - 1) (a + s - 1) - r) / s = q - 1); [|lia].
    apply floor_is; lia.
  - symmetry. assert ((x + a + Z.min (r - 1) (a + s - 1) - r) / s = q); [|lia].
    apply floor_is; lia.
Qed.

(** padding="same": the odd pixel goes right, and the size stays. *)
Theorem same_law :
  forall d k x, let t := d * (k - 1) in size (Window (t + 1) 1 (t / 2) (t - t / 2)) x = x.
Proof.
  intros d k x t. unfold size; cbn [extent stride left right]. rewrite Z.div_1_r. lia.
Qed.

(** No row is dropped on the right exactly where one congruence holds. *)
Theorem even_law :
  forall w x, stride w > 0 ->
  (stride w * (size w x - 1) + extent w = x + left w + right w <->
   (x + left w + right w - extent w) mod stride w = 0).
Proof.
  intros [r s a b] x Hs. unfold size; cbn [extent stride left right] in *. rewrite multiple by lia. split.
  - intros H. exists ((x + a + b - r) / s). lia.
  - intros [q Hq]. replace ((x + a + b - r) / s) with q by (symmetry; apply floor_is; nia). nia.
Qed.

(** A tile that starts at input o has the outputs of the whole exactly where o is a multiple of the
    stride: its output i is then the output i + o/s of the whole. *)
Theorem tile_law :
  forall w o, stride w > 0 -> extent w >= 1 ->
  ((exists k, forall i p, covers w i p <-> covers w (i + k) (p + o)) <-> o mod stride w = 0).
Proof.
  intros [r s a b] o Hs Hr. unfold covers; cbn [extent stride left right] in *. rewrite multiple by lia. split.
  - intros [k Hk]. exists k.
    destruct (Hk 0 (- a)) as [H1 _]. destruct (Hk 0 (- a + r - 1)) as [H2 _].
    assert (s * (0 + k) - a <= - a + o <= s * (0 + k) - a + r - 1) by (apply H1; lia).
    assert (s * (0 + k) - a <= - a + r - 1 + o <= s * (0 + k) - a + r - 1) by (apply H2; lia).
    lia.
  - intros [q Hq]. exists q. intros i p. nia.
Qed.
