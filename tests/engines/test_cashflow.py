"""Cash flows: schedules to the cent, and all-in rates against worked examples and laws."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.engines.cashflow import Flow, Terms, all_in, annual_rate, instalments
from jinqiao.errors import InputError


@dataclass(frozen=True)
class Charge:
    charged: str
    amount_minor: int | None = None
    rate_bps: int | None = None


FEES = st.lists(
    st.one_of(
        st.builds(
            Charge,
            charged=st.sampled_from(["upfront", "monthly", "yearly", "on_exit", "per_event"]),
            amount_minor=st.integers(0, 2_000),
        ),
        st.builds(
            Charge,
            charged=st.sampled_from(["upfront", "monthly", "on_exit"]),
            rate_bps=st.integers(0, 100),
        ),
    ),
    max_size=3,
).map(tuple)
CREDIT = st.builds(
    Terms,
    amount_minor=st.integers(100_000, 50_000_000),
    term_days=st.integers(1, 3_650),
    rate_bps=st.integers(0, 3_600),
    repayment=st.sampled_from(
        ["equal_instalment", "equal_principal", "bullet", "interest_only", "revolving"]
    ),
    fees=FEES,
)
SAVING = st.builds(
    Terms,
    amount_minor=st.integers(100_000, 50_000_000),
    term_days=st.integers(30, 3_650),
    rate_bps=st.integers(0, 1_000),
    repayment=st.just("bullet"),
    fees=FEES,
    saving=st.just(True),
)


def test_the_annuity_of_a_textbook() -> None:
    """10,000.00 at 12 % over twelve months is 888.49 a month and about 661.85 interest."""
    rows = instalments(Terms(1_000_000, 365, 1_200, "equal_instalment"))
    assert {row.due_minor for row in rows[:-1]} == {88_849}
    assert abs(rows[-1].due_minor - 88_849) <= 12
    assert abs(sum(row.interest_minor for row in rows) - 66_185) <= 12
    assert [row.day for row in rows][-1] == 365


def test_the_yearly_rate_compounds_the_monthly_one() -> None:
    """12 % a year paid monthly is 1.01 ** 12 − 1 a year."""
    cost = all_in(Terms(100_000_000, 365, 1_200, "equal_instalment"))
    assert cost.annual_rate == pytest.approx(1.01**12 - 1, abs=1e-6)


def test_the_directive_example_with_a_single_payment() -> None:
    """A sum of 1,000 repaid by 1,200 after one and a half years costs 12.92 % a year."""
    rate = annual_rate([Flow(0.0, 100_000), Flow(1.5, -120_000)])
    assert rate == pytest.approx(0.129243, abs=1e-6)


def test_charges_taken_first_raise_the_rate() -> None:
    """1,000 less 50 charges, repaid by 600 after one and after two years, costs 17.10 % a year."""
    rate = annual_rate([Flow(0.0, 95_000), Flow(1.0, -60_000), Flow(2.0, -60_000)])
    assert rate == pytest.approx(0.170951, abs=1e-6)
    assert pytest.approx(600 / (1 + rate) + 600 / (1 + rate) ** 2) == 950


def test_a_flat_monthly_fee_costs_almost_twice_its_face() -> None:
    """0.6 % a month of the first amount, "7.2 % a year", is about 14 % on what is really owed."""
    terms = Terms(1_200_000, 365, 0, "equal_principal", (Charge("monthly", rate_bps=60),))
    cost = all_in(terms)
    assert cost.cost_minor == 12 * 7_200
    assert cost.annual_bps is not None
    assert 1_350 < cost.annual_bps < 1_450


@given(terms=CREDIT)
def test_instalments_repay_the_amount_exactly(terms: Terms) -> None:
    """Principals sum to the amount, balances fall to zero, and the total is amount plus cost."""
    cost = all_in(terms)
    assert sum(row.principal_minor for row in cost.instalments) == terms.amount_minor
    assert cost.instalments[-1].balance_minor == 0
    assert all(row.principal_minor >= 0 for row in cost.instalments)
    assert cost.total_minor == terms.amount_minor + cost.cost_minor
    assert cost.cost_minor == cost.interest_minor + cost.fees_minor
    assert -sum(flow.amount_minor for flow in cost.flows) == cost.cost_minor


@given(terms=st.one_of(CREDIT, SAVING))
def test_flows_discount_to_zero_at_the_all_in_rate(terms: Terms) -> None:
    """The rate found makes the flows even, to a millionth of the amount."""
    cost = all_in(terms)
    assert cost.annual_rate is not None
    rest = sum(f.amount_minor * (1 + cost.annual_rate) ** -f.years for f in cost.flows)
    assert abs(rest) <= 1e-6 * terms.amount_minor


@given(terms=CREDIT, fee=st.builds(Charge, charged=st.sampled_from(
    ["upfront", "monthly", "yearly", "on_exit"]), amount_minor=st.integers(1, 3_000)))  # fmt: skip
def test_one_more_fee_never_lowers_the_cost(terms: Terms, fee: Charge) -> None:
    """Any counted fee raises what the customer pays and the yearly rate."""
    before, after = all_in(terms), all_in(replace(terms, fees=(*terms.fees, fee)))
    assert after.cost_minor > before.cost_minor
    assert before.annual_rate is not None
    assert after.annual_rate is not None
    assert after.annual_rate > before.annual_rate


@given(terms=SAVING)
def test_a_saving_never_yields_more_than_its_rate(terms: Terms) -> None:
    """Fees only lower a yield, and a product that earns has a negative cost."""
    cost = all_in(terms)
    assert cost.annual_rate is not None
    years = terms.term_days / 365
    grown = 1 + terms.rate_bps / 10_000 * years + 1 / terms.amount_minor
    assert cost.annual_rate <= grown ** (1 / years) - 1 + 1e-9
    assert cost.cost_minor == cost.fees_minor - cost.interest_minor
    assert cost.total_minor == terms.amount_minor - cost.cost_minor


def test_fees_on_an_event_are_shown_and_not_counted() -> None:
    """A late fee is listed with its amount, and adds nothing to the cost."""
    terms = Terms(1_000_000, 365, 0, "revolving", (Charge("per_event", rate_bps=100),))
    cost = all_in(terms)
    (row,) = cost.fees
    assert (row.each_minor, row.total_minor, row.counted) == (10_000, 0, False)
    assert (cost.cost_minor, cost.annual_bps) == (0, 0)


def test_what_neither_lends_nor_saves_has_fees_and_no_rate() -> None:
    """A payment account costs its yearly fee; there is no yearly rate to speak of."""
    cost = all_in(Terms(100, 730, 0, "none", (Charge("yearly", amount_minor=1_000),)))
    assert (cost.cost_minor, cost.annual_bps, cost.instalments) == (2_000, None, ())


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (Terms(0, 365, 100, "bullet"), "amount"),
        (Terms(100, 0, 100, "bullet"), "term"),
        (Terms(100, 365, -1, "bullet"), "rate"),
        (Terms(100, 365, 100, "weekly"), "repayment"),
        (Terms(100, 365, 0, "bullet", (Charge("upfront", amount_minor=100),)), "nothing"),
        (Terms(100, 365, 0, "bullet", (Charge("hourly", amount_minor=1),)), "charged"),
    ],
)
def test_terms_out_of_range_are_refused(terms: Terms, said: str) -> None:
    """A wrong example names what is wrong instead of giving a rate."""
    with pytest.raises(InputError, match=said):
        all_in(terms)


def test_flows_of_one_sign_have_no_rate() -> None:
    """Nothing received means no rate, and it is said so."""
    with pytest.raises(InputError, match="one sign"):
        annual_rate([Flow(0.0, -100), Flow(1.0, -100)])
