(** Branches and sets: forwards that decide on sizes, and sizes that nothing ties together. *)

Require Import ZArith Lia List.
Open Scope Z_scope.

(** The answers of a run to the conditions that it meets; it goes another way at the first [false]. *)
Definition fails_first (answers : list bool) (i : nat) : Prop :=
  (i < length answers)%nat /\ nth i answers true = false /\
  forall j, (j < i)%nat -> nth j answers true = true.

Definition never_fails (answers : list bool) : Prop :=
  forall j, (j < length answers)%nat -> nth j answers true = true.

(** Every size fails at a first condition, or at none. *)
Theorem branches_cover :
  forall answers, never_fails answers \/ exists i, fails_first answers i.
Proof.
  intros answers. induction answers as [|[|] rest [IH | [i (L & F & B)]]].
  - left. intros j Hj. inversion Hj.
  - left. intros [|j] Hj; [reflexivity|]. apply IH. simpl in Hj. lia.
  - right. exists (S i). repeat split; [simpl; lia | exact F |].
    intros [|j] Hj; [reflexivity|]. apply B. lia.
  - right. exists O. repeat split; [simpl; lia | intros j Hj; lia].
  - right. exists O. repeat split; [simpl; lia | intros j Hj; lia].
Qed.

(** No size belongs to two of them. *)
Theorem branches_are_disjoint :
  forall answers i k,
  fails_first answers i -> fails_first answers k \/ never_fails answers ->
  fails_first answers k /\ i = k.
Proof.
  intros answers i k (Li & Fi & Bi) [(Lk & Fk & Bk) | N].
  - split; [repeat split; assumption|].
    destruct (Nat.lt_total i k) as [H | [H | H]]; [| exact H |].
    + rewrite (Bk i H) in Fi. discriminate.
    + rewrite (Bi k H) in Fk. discriminate.
  - rewrite (N i Li) in Fi. discriminate.
Qed.

(** Where both outcomes of [c] lead to the same network, [c] weakens to [c \/ E]. *)
Theorem condition_weakens :
  forall P c Q E : Prop, c \/ ~ c ->
  ((P /\ c /\ Q) \/ (P /\ ~ c /\ Q /\ E) <-> P /\ Q /\ (c \/ E)).
Proof. intros. tauto. Qed.

(** A number of few values is each of them, in turn. *)
Theorem few_values :
  forall (P : Z -> Prop) values d, In d values ->
  (P d <-> exists v, In v values /\ d = v /\ P v).
Proof.
  intros P values d H. split.
  - intros Hd. exists d. auto.
  - intros (v & _ & E & Hv). subst. exact Hv.
Qed.

(** Sizes that no requirement ties together are the smallest one by one. *)
Theorem independent_smallest :
  forall (P Q : Z -> Prop) p q, P p -> Q q ->
  ((forall x y, P x /\ Q y -> p <= x /\ q <= y) <->
   (forall x, P x -> p <= x) /\ (forall y, Q y -> q <= y)).
Proof.
  intros P Q p q Hp Hq. split.
  - intros H. split; intros z Hz; [apply (H z q) | apply (H p z)]; auto.
  - intros [A B] x y [Hx Hy]. auto.
Qed.

(** A union of networks: on the sizes [D i], what part i answers. *)
Definition answers {X V : Type} (D : nat -> X -> Prop) (F : nat -> X -> V) (x : X) (v : V) : Prop :=
  exists i, D i x /\ F i x = v.

(** Parts without a common size answer once. *)
Theorem union_answers_once :
  forall (X V : Type) (D : nat -> X -> Prop) (F : nat -> X -> V),
  (forall i k x, D i x -> D k x -> i = k) ->
  forall x v w, answers D F x v -> answers D F x w -> v = w.
Proof.
  intros X V D F H x v w (i & Di & Vi) (k & Dk & Vk). rewrite <- (H i k x Di Dk) in Vk.
  rewrite <- Vi, <- Vk. reflexivity.
Qed.

(** One form holds for the union exactly where it is each part's on that part's sizes. *)
Theorem union_has_one_form :
  forall (X V : Type) (D : nat -> X -> Prop) (F : nat -> X -> V) (G : X -> V),
  (forall x v, answers D F x v -> v = G x) <-> (forall i x, D i x -> F i x = G x).
Proof.
  intros X V D F G. split.
  - intros H i x Di. apply H. exists i. auto.
  - intros H x v (i & Di & Vi). rewrite <- Vi. apply H, Di.
Qed.

(** The solutions of the union are those of the parts, each within its own sizes. *)
Theorem union_of_solutions :
  forall (X V : Type) (D : nat -> X -> Prop) (F : nat -> X -> V) (wanted : V -> Prop) x,
  (exists v, answers D F x v /\ wanted v) <-> (exists i, D i x /\ wanted (F i x)).
Proof.
  intros X V D F wanted x. split.
  - intros (v & (i & Di & Vi) & Wv). exists i. rewrite Vi. auto.
  - intros (i & Di & Wi). exists (F i x). split; [exists i|]; auto.
Qed.
