(** Resampling along one axis: by a scale p/q, to a size, and to the windows of adaptive pools. *)

Require Import ZArith Lia.
Require Import Floors Windows.
Open Scope Z_scope.

(** The size at scale p/q, where no rounding of floats moves it. *)
Definition resized (p q x : Z) : Z := x * p / q.

(** What output i reads: the place i*q/p, rounded down. *)
Definition nearest (p q i : Z) : Z := i * q / p.

(** The middle of output i lies at (i + 1/2)*q/p - 1/2, which is [middle/(2*p)]. *)
Definition middle (p q i : Z) : Z := (2 * i + 1) * q - p.

(** The last place of output i of n that an adaptive pool reads, of x. *)
Definition adaptive_last (n x i : Z) : Z := ceiling ((i + 1) * x) n - 1.

(** Whatever is read is there. *)
Theorem nearest_is_inside :
  forall p q x i, p > 0 -> q > 0 -> 0 <= i < resized p q x -> 0 <= nearest p q i < x.
Proof.
  intros p q x i Hp Hq H. unfold resized, nearest in *.
  floor_of (x * p) q. floor_of (i * q) p.
  assert (q * (i + 1) <= x * p) by nia. nia.
Qed.

(** The outputs that read input j. *)
Theorem nearest_pullback :
  forall p q i j, p > 0 -> q > 0 ->
  (nearest p q i = j <-> ceiling (j * p) q <= i <= (j * p + p - 1) / q).
Proof.
  intros p q i j Hp Hq. unfold nearest, ceiling. rewrite floor_is by lia.
  floor_of (j * p + q - 1) q. floor_of (j * p + p - 1) q. nia.
Qed.

Theorem resampling_grows :
  forall p q x y, p > 0 -> q > 0 -> x <= y ->
  resized p q x <= resized p q y /\ nearest p q x <= nearest p q y.
Proof.
  intros p q x y Hp Hq H. unfold resized, nearest. split; apply floor_is_monotone; nia.
Qed.

(** By a whole number, enlarged and enlarged again is enlarged by the product. *)
Theorem enlarged_twice :
  forall m n x i, m > 0 -> n > 0 ->
  resized n 1 (resized m 1 x) = resized (m * n) 1 x /\
  nearest m 1 (nearest n 1 i) = nearest (m * n) 1 i.
Proof.
  intros m n x i Hm Hn. unfold resized, nearest. rewrite !Z.div_1_r, !Z.mul_1_r. split; [ring|].
  replace (i / n) with (i / n + 0) by ring. rewrite floor_of_floor by lia. f_equal; ring.
Qed.

(** Made smaller by a whole number: every n-th place, which is a window. *)
Theorem reduced_is_a_window :
  forall n x i p, n > 0 ->
  resized 1 n x = size (Window 1 n 0 (1 - n)) x /\
  (nearest 1 n i = p <-> covers (Window 1 n 0 (1 - n)) i p).
Proof.
  intros n x i p Hn. unfold resized, nearest, size, covers; cbn [extent stride left right]. split.
  - replace (x + 0 + (1 - n) - 1) with (n * (-1) + x) by ring.
    rewrite floor_of_multiple by lia. rewrite Z.mul_1_r. lia.
  - rewrite Z.div_1_r. lia.
Qed.

(** Linear and cubic weights lie around the middle, which is i where nothing is resized. *)
Theorem middle_is :
  forall p q i k, p > 0 ->
  (middle p q i / (2 * p) = k <-> 2 * p * k <= (2 * i + 1) * q - p < 2 * p * (k + 1)).
Proof. intros p q i k Hp. unfold middle. rewrite floor_is by lia. lia. Qed.

(** Resized to the size that it has: the same size, and each place from itself. *)
Theorem idle_resize :
  forall n x i, n > 0 -> resized n n x = x /\ nearest n n i = i /\ middle n n i = 2 * n * i.
Proof.
  intros n x i Hn. unfold resized, nearest, middle.
  split; [|split]; [apply Z.div_mul; lia | apply Z.div_mul; lia | ring].
Qed.

(** Arithmetic of floats: the product num/den that is computed is below the next fraction of q, and
    no whole number that the exact one, e/q, has reached is lost. Then its floor is the exact one's. *)
Theorem rounded_floor :
  forall e q num den, q > 0 -> den > 0 ->
  den * (e / q) <= num -> q * num < den * (e + 1) -> num / den = e / q.
Proof.
  intros e q num den Hq Hd L U. floor_of e q. apply floor_is; [lia|]. split; [lia|].
  set (t := e / q) in *. assert (den * (e + 1) <= den * (q * t + q)) by nia. nia.
Qed.

(** An adaptive pool reads all that there is, and windows follow each other without a gap. *)
Theorem adaptive_covers :
  forall n x p, n > 0 -> 0 <= p < x ->
  exists i, 0 <= i < n /\ i * x / n <= p <= adaptive_last n x i.
Proof.
  intros n x p Hn Hp. unfold adaptive_last, ceiling. exists (p * n / x).
  assert (Hx : x > 0) by lia. floor_of (p * n) x. set (i := p * n / x) in *.
  floor_of (i * x) n. floor_of ((i + 1) * x + n - 1) n. nia.
Qed.

(** Where its size divides what there is, it is a plain pool. *)
Theorem adaptive_is_plain :
  forall n k i p, n > 0 -> k > 0 ->
  (i * (n * k) / n <= p <= adaptive_last n (n * k) i <-> covers (Window k k 0 0) i p).
Proof.
  intros n k i p Hn Hk. unfold adaptive_last, ceiling, covers; cbn [extent stride left right].
  replace (i * (n * k) / n) with (k * i) by (symmetry; apply floor_is; nia).
  replace (((i + 1) * (n * k) + n - 1) / n) with (k * (i + 1)) by (symmetry; apply floor_is; nia).
  lia.
Qed.
