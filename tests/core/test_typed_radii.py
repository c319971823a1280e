"""Radii and output files as they are typed."""

from fractions import Fraction

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortnet.base.units import eps_to_float, parse_eps
from sortnet.cli.options import Eps, OutFile


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8/255", Fraction(8, 255)),
        ("2.2/255", Fraction(22, 2550)),
        (" 8 / 255 ", Fraction(8, 255)),
        ("0.1", Fraction(1, 10)),
        (".1", Fraction(1, 10)),
        ("1.", Fraction(1)),
        ("1e-3", Fraction(1, 1000)),
        ("5E-2/1e1", Fraction(1, 200)),
        ("+0.1", Fraction(1, 10)),
        ("1e-999", Fraction(1, 10**999)),
        (0.1, Fraction(1, 10)),
        (1, Fraction(1)),
    ],
)
def test_one_number_or_one_fraction_is_exact(text, value):
    assert parse_eps(text) == value
    assert 0 < eps_to_float(text) <= 1


@pytest.mark.parametrize(
    "text",
    [
        *("8/255/2", "8//255", "/255", "8/", "", "x", "1_0/255", "1/0", "0x1", "١/٢", "nan", "inf"),
        *("1e-9999999", "1e-9999999999999999999", "1/1e9999999", "1" * 5000, "0." + "1" * 51, None),
    ],
)
def test_anything_else_is_refused_with_examples(text):
    # A huge exponent took minutes in Fraction; refused by its form, no integer is ever made.
    with pytest.raises(ValueError, match="one fraction of two, such as") as error:
        parse_eps(text)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("text", ["0", "-1/255", "-0.1", "2", "255/8", "1e999", -1, 2.0])
def test_radii_outside_the_pixel_range_are_refused(text):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        parse_eps(text)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_fractions_are_read_exactly(over, under):
    over, under = sorted((over, under))
    assert parse_eps(f"{over}/{under}") == Fraction(over, under)


@given(st.floats(min_value=1e-300, max_value=1))
def test_floats_stand_for_the_decimal_they_print_as(value):
    assert parse_eps(value) == parse_eps(repr(value)) == Fraction(repr(value))


def test_eps_option_keeps_the_text():
    assert Eps().convert("8/255", None, None) == "8/255"
    with pytest.raises(click.BadParameter, match="radius"):
        Eps().convert("8/255/2", None, None)


def test_files_of_other_kinds_or_without_their_writer_are_refused():
    kind = OutFile({".png": None, ".svg": "no_such_writer"})
    assert kind.convert("a b.png", None, None).name == "a b.png"
    for name in ("p.txt", "png", "a.PNG.gz"):
        with pytest.raises(click.BadParameter, match=r"expected a \.png or \.svg file"):
            kind.convert(name, None, None)
    with pytest.raises(click.BadParameter, match="needs no_such_writer"):
        kind.convert("a.svg", None, None)
