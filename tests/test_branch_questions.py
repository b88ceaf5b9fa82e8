"""Every question distributes over the branches of a network."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import sympy
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import nn

import symcnn
from symcnn import H, N, W
from symcnn.cli import main
from symcnn.errors import DataDependent, InvalidInput, NoSolution, Undecidable
from symcnn.network import Network
from tests.corpus.forwards import Function


class Halved(nn.Module):
    """Pools what is higher than 64 rows, and refuses what is higher than 1,000."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] > 1000:
            raise ValueError("at most 1000 rows")
        if x.shape[2] > 64:
            x = F.max_pool2d(x, 2)
        return self.c(x)


class Rows(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x for _ in range(x.shape[2])], 1)


class Each(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[b] * 2 for b in range(x.shape[0])])


@pytest.fixture(scope="module")
def net() -> Network:
    return symcnn.from_torch(Halved(), "N 3 H W")


def test_a_shape_is_a_piecewise_where_forms_differ(net: Any) -> None:
    height = net.output_shape[2]
    assert isinstance(height, sympy.Piecewise)
    assert [height.subs({H: h, W: 9}) for h in (64, 66)] == [64, 33]


def test_the_domain_is_the_union_and_says_what_the_model_raises(net: Any) -> None:
    assert str(net.valid_inputs()) == "(1 <= H <= 64 and W == 1) or (1 <= H <= 1000 and W >= 2)"
    with pytest.raises(InvalidInput, match="at most 1000 rows"):
        net.shape_at(N=1, H=1001, W=8)
    assert "at most 1000 rows" in str(net.diagnose(H=1001, W=8))


def test_the_solution_of_a_budget_is_a_set_like_any_other(net: Any) -> None:
    found, valid = net.solve(macs=216 * 100, N=1), net.valid_inputs()
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found), found & valid):
        assert (again, hash(again)) == (found, hash(found))
    assert valid & found == found <= valid
    assert not valid <= found
    assert not valid - (found | valid)
    assert not found - valid
    for h, w in [(1, 1), (64, 1), (65, 3), (65, 4), (40, 3), (9, 11), (9, 12), (200, 2)]:
        member = {"N": 1, "H": h, "W": w}
        assert (member in valid - found) == ((h, w) in valid and member not in found)
    assert 64 in found.axis("H")
    assert 801 not in found.axis("W")


def test_a_summary_in_parts_shows_itself_in_a_notebook(net: Any) -> None:
    assert "<pre>for " in net.summary()._repr_html_()


class Longer(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool1d(x, 3, 1) if x.shape[2] < 64 else F.max_pool1d(x, 5, 1)


class Odd(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool1d(x, 3, 1) if x.shape[2] % 2 else F.max_pool1d(x, 5, 1)


def test_a_stream_is_that_of_the_branches_that_run_on() -> None:
    found = symcnn.from_torch(Longer(), "N 3 L").stream(axis="L")
    assert (found.lookahead, found.final(100)) == (4, 96)
    assert found.note == "at L >= 64; shorter inputs run otherwise"
    with pytest.raises(Undecidable, match="the branches"):
        symcnn.from_torch(Odd(), "N 3 L").stream(axis="L")


def test_solutions_and_budgets_are_unions(net: Any) -> None:
    assert {*net.solve(output=(40, 9))} == {(40, 9), *((h, w) for h in (80, 81) for w in (18, 19))}
    budget = net.solve(macs=216 * 100, N=1)
    assert (64, 1) in budget
    assert (66, 6) in budget
    assert (66, 8) not in budget
    relation = net.solve(output=("h", "w"))
    assert (80, 18) in relation.given(h=40, w=9)
    assert (40, 9) in relation.given(h=40, w=9)
    with pytest.raises(NoSolution):
        net.solve(output=(501, 501))


def test_what_the_output_is_at_every_size_is_a_solution_in_every_branch() -> None:
    """A branch of one size has no map that varies; its output is the target all the same."""

    class Resized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 8, 16, 16), nn.Linear(8 * 14 * 14, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[2:] != (224, 224):
                x = F.interpolate(x, (224, 224))
            return self.fc(self.conv(x).flatten(1))

    net = symcnn.from_torch(Resized(), "N 3 H W")
    assert str(net.solve(output=(None, 10))) == "H >= 1 and W >= 1"
    assert str(net.solve(output=(2, 10))) == "N == 2 and H >= 1 and W >= 1"
    one = net.branch_at(N=1, H=224, W=224)
    assert str(one.solve(output=(14, 14))) == str(one.solve(output=10)) == "H == 224 and W == 224"
    with pytest.raises(NoSolution, match="at conv"):
        one.solve(output=(7, 7))


def test_lists_of_branches_are_shown_one_below_the_other(net: Any) -> None:
    for answer in (net.reasons(), net.plain_pools(), net.fix(output=("H", "W"))):
        assert "symcnn" in answer._repr_html_()


def test_a_cost_is_that_of_the_branch(net: Any) -> None:
    assert net.cost().at(N=2, H=64, W=9).total == 2 * 216 * 64 * 9
    assert net.cost().at(N=2, H=66, W=9).total == 2 * 216 * 33 * 4
    assert net.cost().total.at(N=1, H=66, W=9) == 216 * 33 * 4
    for answer in (net.cost(), net.summary()):
        told = json.loads(json.dumps(answer.to_dict()))["branches"]
        rows = [branch["where"].partition(" and ")[0] for branch in told]
        assert rows == ["65 <= H <= 1000", "1 <= H <= 64"]
    assert net.macs.subs({N: 1, H: 66, W: 9}) == 216 * 33 * 4
    assert net.params == 224


def test_the_peaks_of_branches_on_one_axis_are_compared_in_the_batch_too() -> None:
    class Causal(nn.Module):
        def __init__(self, most: int) -> None:
            super().__init__()
            self.most = most
            self.a, self.b = nn.Conv1d(2, 8, 3, stride=2), nn.Conv1d(8, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] <= self.most:
                x = F.pad(x, (0, self.most))
            x = F.pad(F.pad(x, (2, 0), mode="reflect"), (0, -x.shape[-1] % 2))
            y = self.a(x)
            return self.b(y) + y[:, :2]

    net = symcnn.from_torch(nn.Sequential(Causal(4), Causal(9)), "N 2 L")
    every: Any = net.cost().peak
    assert len(net.branches) == 3
    for length in (3, 9, 30):
        (branch,) = (b for b in net.branches if length in b.where)
        peak = branch.network.cost().at(N=5, L=length).peak
        assert every.at(N=5, L=length) == peak


def test_a_field_is_that_of_the_branch(net: Any) -> None:
    field = net.receptive_field()
    assert [field.size[0].at(H=h, W=9) for h in (64, 65)] == [3, 6]
    assert field.at(H=64, W=9).interval(3) == (2, 4)
    assert field.at(H=66, W=9).interval(3) == (4, 9)


def test_words_name_the_sizes_of_each_branch(net: Any) -> None:
    for words in (net.summary(), net.explain("size"), net.to_latex()):
        assert "for 1 <= H <= 64 and W >= 1:" in str(words)
    assert "conv2d" in str(net.summary(at={"N": 1, "H": 66, "W": 9}))


@pytest.mark.parametrize("language", ["python", "numpy"])
def test_code_answers_with_the_branch_of_the_sizes(net: Any, language: str) -> None:
    scope: dict[str, Any] = {}
    exec(net.to_code(language), scope)
    for h in (1, 64, 65, 66):
        assert scope["macs"](2, h, 9) == net.cost().at(N=2, H=h, W=9).total
        assert scope["size2"](2, h, 9) == net.shape_at(N=2, H=h, W=9)[2]


def test_a_derivation_is_one_for_each_branch(net: Any) -> None:
    derivation = net.explain("size")
    assert sorted(part.where for part in derivation.parts) == sorted(
        b.where.describe() for b in net.branches
    )
    assert "1 <= H <= 64 and W >= 1" in [part.where for part in derivation.parts]
    for part in derivation.parts:
        assert part.steps
        assert f"{part.answer} for {part.where}" in derivation.result
        assert f"{part.title}, for {part.where}" in derivation.to_markdown()
    assert derivation.to_latex().count("subsubsection") == 2
    assert len(net.explain().parts) == 4


def test_a_derivation_that_is_the_same_in_all_branches_is_one(net: Any) -> None:
    assert net.explain("params").where == ""


def test_what_all_branches_prove_is_proved(net: Any) -> None:
    proof = net.prove()
    assert proof
    assert proof.complete


def test_torch_agrees_on_every_branch(net: Any) -> None:
    report = net.validate(Halved(), "cpu", samples=40)
    assert bool(report), str(report)


def test_every_question_of_a_network_is_asked_of_all_branches() -> None:
    """What `Branched` does not answer anew is a record, or is made of what it answers anew."""
    made_of_others = {
        *"complete scope general nearest_valid output_shape spec valid_inputs validate".split(),
        *"largest_batch to_page plot draw shape_at says_scope within_scope".split(),
    }
    records = {
        *"accepted_symbols batch calls complete_sizes symbol_atoms hyperparameters".split(),
        *"input_tensors inputs may_be_zero output_tensors parameter_symbols".split(),
        *"leading located parameters position roles shapes sizes_that_meet".split(),
        *"source_name spelled symbol_atoms without".split(),
    }
    public = {name for name in dir(Network) if not name.startswith("_")}
    branched = symcnn.from_torch(Halved(), "N 3 H W")
    same = {n for n in public if getattr(Network, n) is getattr(type(branched), n)}
    assert same <= made_of_others | records, same - made_of_others - records


def test_what_needs_a_number_is_said_and_other_sizes_are_still_exact() -> None:
    net = symcnn.from_torch(Rows(), "N 3 H W", example={"H": 4})
    assert not net.complete
    (left,) = net.unfollowed
    assert left.condition == "H != 4"
    assert "test_branch_questions.py" in left.where_in_code
    assert "range(x.shape[2])" in left.reason
    assert "for H == 4 only" in net.scope
    assert net.shape_at(N=1, H=5, W=2) == (1, 15, 5, 2)
    assert net.cost().at(N=1, H=5, W=2).total == 0


def test_answers_and_refusals_say_for_which_sizes_they_hold() -> None:
    net = symcnn.from_torch(Rows(), "N 3 H W", example={"H": 4})
    said = "holds for H == 4 only ("
    answers = [net.valid_inputs(), net.solve(output=(4, 9)), net.solve(memory="1 MiB")]
    assert all(said in repr(found) and said in found._repr_html_() for found in answers)
    places = net.explain("size"), net.stream("W"), net.shards(H=4, W=8, parts=(1, 2))
    for answer in (net.cost(), net.receptive_field(), net.summary(), *places):
        assert str(answer).count(said) == 1
        assert answer._repr_html_().count(said) == 1
    assert said not in str(net.cost().at(N=1, H=5, W=2))
    assert "(1, 15, 5, 2)" in net.summary(at={"N": 1, "H": 5, "W": 2})
    assert str(net.nearest_valid(H=5, W=2)) == "5x2 is valid"  # the module runs there
    for wish in ({"output": (5, 9)}, {"output": (4, 9), "H": 5}):
        with pytest.raises(NoSolution, match="this holds for H == 4 only"):
            net.solve(**wish)


def test_the_batch_that_python_counts_is_fixed_and_printed() -> None:
    net = symcnn.from_torch(Each(), "N 3 H W")
    assert net.valid_inputs().words() == "N == 2 and H >= 1 and W >= 1"
    assert net.shape_at(N=3, H=4, W=5) == (3, 3, 4, 5)


def test_a_limit_on_branches_says_how_to_raise_it() -> None:
    class Many(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for limit in (10, 20, 30, 40):
                if x.shape[2] > limit:
                    x = F.pad(x, (0, 1))
            return x

    net = symcnn.from_torch(Many(), "N 3 H W", branches=2)
    assert len(net.branches) == 2
    assert not net.complete
    assert "branches=" in net.unfollowed[0].reason
    for height in (5, 15, 25, 35, 45):
        assert net.shape_at(N=1, H=height, W=1) == (1, 3, height, 1 + (height - 1) // 10)
    assert symcnn.from_torch(Many(), "N 3 H W").complete


def test_a_branch_on_values_is_still_refused_with_its_line() -> None:
    class Values(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.shape[2] > 5 and x.sum() > 0 else -x

    with pytest.raises(DataDependent, match=r"test_branch_questions\.py:\d+"):
        symcnn.from_torch(Values(), "N 3 H W")


@pytest.mark.parametrize("command", ["shapes", "rf", "cost", "explain", "summary", "valid"])
def test_the_command_line_answers_for_each_branch(command: str, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        "import torch\nclass Halved(torch.nn.Module):\n    def forward(self, x):\n"
        "        return torch.nn.functional.max_pool2d(x, 2) if x.shape[2] > 64 else x\n"
    )
    arguments = [command, f"{path}:Halved", "--input", "N 3 H W"]
    text = CliRunner().invoke(main, arguments)
    assert text.exit_code == 0, text.output
    if command != "valid":
        assert "for 1 <= H <= 64 and W >= 1:" in text.stdout
    answer = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    if command != "valid":
        assert [branch["where"] for branch in answer["branches"]] == [
            "H >= 65 and W >= 1",
            "1 <= H <= 64 and W >= 1",
        ]


def test_sizes_that_branches_return_are_those_of_the_branch() -> None:
    class Counted(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
            h = x.shape[2]
            return (x, h) if h > 5 else (x[:, :, 1:], h + 1)

    net = symcnn.from_torch(Counted(), "N 1 H W")
    assert net.shapes({"N": 1, "H": 3, "W": 10}) == ((1, 1, 2, 10), 4)


class Fits(nn.Module):
    """A layer for short inputs, and one for long inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.short, self.long = nn.Linear(28, 8), nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.long(x) if x.shape[2] >= 30 else self.short(x)
        return result


@pytest.mark.parametrize(("length", "features"), [(28, 8), (32, 4)])
def test_numbers_are_put_into_the_branch_that_takes_them(length: int, features: int) -> None:
    """The layers of the other branch would refuse them."""
    net = symcnn.from_torch(Fits(), "N 3 L").given(L=length)
    assert net.output_shape == (symcnn.N, 3, features)


def test_numbers_that_the_layers_of_their_branch_refuse_are_refused_by_these() -> None:
    with pytest.raises(symcnn.ShapeMismatch, match="29 != 28"):
        symcnn.from_torch(Fits(), "N 3 L").given(L=29)


class Tail(nn.Module):
    """A convolution of any rows, and python that counts those of its output."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(3, 8, 3, 2)
        self.d = nn.Conv2d(8, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.d(self.c(x))
        return torch.stack([y[:, :, i] for i in range(y.shape[2])], 2)


@pytest.fixture(scope="module")
def rows() -> Network:
    return symcnn.from_torch(Tail(), "N 3 H W", example={"H": 12, "W": 12})


@pytest.mark.parametrize("h", [1, 6, 7, 8, 11, 12, 13, 20])
@pytest.mark.parametrize("w", [5, 9, 10, 11])
def test_the_question_is_asked_again_at_sizes_that_were_not_followed(
    rows: Network, h: int, w: int
) -> None:
    try:
        shape = tuple(Tail()(torch.zeros(1, 3, h, w)).shape)
    except RuntimeError:
        shape = ()
    assert ((h, w) in rows.valid_inputs()) is bool(shape)
    assert ((h, w) in rows.solve(output=(3, 2))) is (shape[2:] == (3, 2))
    macs = symcnn.from_torch(Tail(), f"1 3 {h} {w}").macs if shape else 0
    assert ((h, w) in rows.solve(macs=20_000)) is bool(shape and macs <= 20_000)


SETS: dict[str, Any] = {
    "union": lambda net: net.valid_inputs() | net.solve(output=(3, 2)),
    "difference": lambda net: net.valid_inputs() - net.solve(output=(3, 2)),
    "others": lambda net: net.valid_inputs().complement(),
    "one axis": lambda net: net.valid_inputs().axis("H"),
    "pickled": lambda net: pickle.loads(pickle.dumps(net.valid_inputs())),
    "pickled budget": lambda net: pickle.loads(pickle.dumps(net.solve(memory="1 MiB"))),
}

NOT_THESE = SETS["others"], SETS["difference"]


@pytest.mark.parametrize("ask", SETS.values(), ids=SETS)
def test_sizes_that_were_not_followed_are_neither_in_what_is_made_of_sets_nor_outside(
    rows: Network, ask: Any
) -> None:
    found = ask(rows)
    assert "holds for (H - 5)//2 == 3 only (" in str(found)
    for h in range(1, 24):
        member = (h, 9) if len(found.shown) == 2 else h
        if h in (11, 12):
            assert (member in found) is (ask not in NOT_THESE)
        else:
            with pytest.raises(Undecidable, match="no branch that was followed takes H="):
                assert member in found


def test_a_layer_before_the_line_is_followed_at_all_sizes(rows: Network) -> None:
    part = rows.at("c")
    assert part.complete
    assert (40, 40) in part.valid_inputs()
    assert part.shape_at(N=1, H=40, W=40) == (1, 8, 19, 19)


def test_a_part_says_for_which_sizes_it_holds_and_is_exact_at_others(rows: Network) -> None:
    part = rows.at("d")
    assert "for (H - 5)//2 == 3 only" in part.scope
    assert part.shape_at(N=1, H=40, W=40) == (1, 8, 17, 17)
    assert (40, 40) in part.valid_inputs()
    assert (40, 6) not in part.valid_inputs()


def test_sizes_that_are_given_and_were_not_followed_are_traced(rows: Network) -> None:
    twin = rows.given(H=20)
    assert twin.complete
    assert twin.shape_at(N=1, W=9) == tuple(Tail()(torch.zeros(1, 3, 20, 9)).shape)
    assert rows.given(H=12).complete
    twin = rows.given(W=9)
    assert not twin.complete
    assert twin.shape_at(N=1, H=20) == (1, 8, 7, 2)


def test_the_largest_batch_is_that_of_sizes_that_were_not_followed(rows: Network) -> None:
    for h in (12, 20):
        whole = symcnn.from_torch(Tail(), f"N 3 {h} 12")
        assert rows.largest_batch("1 MiB", H=h, W=12) == whole.largest_batch("1 MiB")
    counted = symcnn.from_torch(Each(), "N 3 H W")
    with pytest.raises(Undecidable, match="not every N was followed: answers hold for N == 2 only"):
        counted.largest_batch("1 MiB", H=4, W=4)


class Remainder(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        return F.max_pool2d(x, 2) if h % (w - 4) == 0 else torch.relu(x)


def test_branches_of_which_there_is_no_set_tell_of_sizes_one_by_one() -> None:
    net, module = symcnn.from_torch(Remainder(), "N 3 H W"), Remainder()
    assert not net.complete
    assert "no exact set" in net.unfollowed[0].reason
    assert repr(net)
    for h in range(2, 20):
        for w in (3, *range(5, 20)):
            shape = tuple(module(torch.zeros(1, 3, h, w)).shape)
            assert net.shape_at(N=1, H=h, W=w) == shape
            taken = [b.network for b in net.branches if (h, w) in b.where]
            assert len(taken) == (w < 5 or h % (w - 4) != 0)
            assert all(one.shape_at(N=1, H=h, W=w) == shape for one in taken)
    assert net.given(W=9).complete
    assert net.given(W=9).shape_at(N=1, H=10) == (1, 3, 5, 4)
    with pytest.raises(Undecidable):
        net.valid_inputs()


class RowsOrHalf(nn.Module):
    """Rows one by one in one of two branches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[3] >= 64:
            return F.max_pool2d(x, 2)
        return torch.cat([x[:, :, i : i + 1] for i in range(x.shape[2])], 2)


def test_branches_of_which_one_is_not_complete_are_asked_again_at_other_sizes() -> None:
    net = symcnn.from_torch(RowsOrHalf(), "N 3 H W", example={"H": 4})
    assert not net.complete
    whole = net.solve(output=(8, 40))
    assert (16, 80) in whole
    assert (8, 40) in whole
    assert (9, 40) not in whole


class RowByRow(nn.Module):
    """Goes through the rows one by one, so that python needs their number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :, i : i + 1] for i in range(x.shape[2])], 2)


def test_a_field_at_sizes_that_were_not_followed_is_that_of_these_sizes() -> None:
    """It had as many rows as the trace, and no word of it."""
    field = symcnn.from_torch(RowByRow(), "N 3 H W").receptive_field()
    for height in (5, 223, 224):
        at = field.at(N=1, H=height, W=7)
        assert at.table().shape == (height, height)
        assert at.table().diagonal().all()
        assert at.min == at.max == (1, 1)
    assert str(field.smallest.at(N=1, H=5, W=7)).startswith("at H=5, N=1, W=7\nH: ")


def test_a_field_that_all_branches_share_is_asked_at_the_sizes_of_each() -> None:
    class Either(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.conv(x if x.shape[2] > 9 else x * 2)
            return made

    field = symcnn.from_torch(Either(), "N 3 H W").receptive_field()
    assert field.size == (3, 3)
    assert str(field).count("output i sees") == 1
    assert [field.at(H=h, W=7).interval(1) for h in (5, 12)] == [(1, 3), (1, 3)]


def test_a_field_of_branches_is_asked_where_no_branch_was_followed() -> None:
    class Later(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, 1:] if x.shape[0] == 2 else RowByRow()(x)

    net = symcnn.from_torch(Later(), "N 3 H W", branches=3)
    at = net.receptive_field().at(N=5, H=7, W=6)
    assert len(net.branches) > 1
    assert at.interval(4) == (4, 4)
    assert str(at).startswith("at its sizes\n")


class ByBatchAndRows(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] > 4:
            x = F.avg_pool2d(x, 2)
        return F.avg_pool2d(x, 2) if x.shape[2] % 4 == 0 else x


def test_a_formula_in_cases_names_the_batch_that_chooses_among_them() -> None:
    net = symcnn.from_torch(ByBatchAndRows(), "N 3 H W")
    for n in (1, 4, 5, 9):
        for h in (2, 8, 9, 30, 32):
            shape = net.shape_at(N=n, H=h, W=30)
            assert shape == tuple(ByBatchAndRows()(torch.zeros(n, 3, h, 30)).shape)
            at = {N: n, H: h, W: 30}
            assert tuple(sympy.sympify(size).subs(at) for size in net.output_shape) == shape


# Parts, places and repairs ---------------------------------------------------------------------


class Fitted(nn.Module):
    """Pads odd widths, in front of a Linear that fits few sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.l = nn.Conv2d(3, 4, 3), nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.c(x)
        x = F.pad(x, (0, 1)) if x.shape[3] % 2 else x
        return self.l(x.flatten(1))


def test_the_network_up_to_a_node_has_the_branches_before_it(net: Any) -> None:
    part = net.at("c")
    assert [part.shape_at(N=1, H=h, W=9) for h in (64, 66)] == [(1, 8, 64, 9), (1, 8, 33, 4)]


def test_a_linear_is_mended_for_the_branch_that_the_sizes_take() -> None:
    net = symcnn.from_torch(Fitted(), "N 3 H W")
    assert [fix.line for fix in net.fix(H=8, W=9)] == ["self.l = nn.Linear(192, 5)"]
    assert [str(fix) for fix in net.fix()] == ["l: 64 should be 8*(H - 2)*((W - 1)//2)"]


def test_a_target_is_reached_where_a_branch_reaches_it(net: Any) -> None:
    (way,) = net.fix(output=("H", "W"))
    assert str(way.where) == "1 <= H <= 64 and W >= 1"


def test_places_are_those_of_the_branch_that_the_whole_takes(net: Any) -> None:
    assert [net.shards(H=h, W=32, parts=2).period for h in (32, 128)] == [(1, 1), (2, 2)]
    with pytest.raises(InvalidInput, match="65 <= H <= 1000"):
        net.tiles(H=128, W=128, tile=64)


def test_a_bucket_costs_what_its_branch_costs(net: Any) -> None:
    found = symcnn.buckets(net, {(32, 32): 3, (40, 50): 1, (100, 100): 2}, k=2, cost="macs")
    assert found.sizes == ((32, 32), (100, 100))
    assert found.cost == 216 * (3 * 32 * 32 + 3 * 50 * 50)


def test_members_of_a_union_of_budgets_are_those_of_each(net: Any) -> None:
    found = net.solve(macs=216 * 100, N=1)
    members = [
        (h, w)
        for h in range(1, 1001)
        for w in range(1, 201)
        if (h * w if h <= 64 else (h // 2) * (w // 2) or 101) <= 100
    ]
    assert found.bounded
    assert found.count() == len(members)
    assert {*found} == {*members}
    assert (found.smallest(), found.largest(), found.nearest(64, 9)) == ((1, 1), (10, 10), (65, 7))


@pytest.mark.parametrize(
    ("sizes", "said"),
    [({}, "no value for H"), ({"H": "a"}, "whole number"), ({"H": 2.5}, "whole number")],
)
def test_a_branch_is_told_by_whole_numbers_for_the_sizes_it_hangs_on(sizes: Any, said: str) -> None:
    net = symcnn.from_torch(Function(lambda x: x[:, :1] if x.shape[2] > 10 else x), "N 3 H W")
    assert net.branch_at(H=11).output_shape[1] == 1
    with pytest.raises(symcnn.BadSpec, match=said):
        net.branch_at(**sizes)
