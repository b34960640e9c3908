from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.expansion import MAX_DEPTH, ExpansionError, expand, referenced

VALUES = {"f": "F", "ta": "1", "empty": "", "level": "3.6"}


def value(text: str) -> str:
    return expand(text, VALUES.get)


# What Postfix 3.7's "postconf -x" answers for the same texts.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$f-$ta.$f", "F-1.F"),
        ("${f} $(f) ${ f }", "F F F"),
        ("$undefined|${undefined}", "|"),
        ("$$f $$$f $$$$", "$f $F $$"),
        ("${ta?a}${zz?a}${zz:b}${ta:b}", "ab"),
        ("${ta?{a}:{b}}${zz?{a}:{b}}", "ab"),
        ("${empty?{a}:{b}}", "b"),
        ("${f ? {a} : {b} }", "a"),
        ("${ta? a  b}", " a  b"),
        ("${ta?{  a b }}", "  a b "),
        ("${ta?a:b}", "a:b"),
        ("${zz:a?b}", "a?b"),
        ("${ta?{a}:b c}", "a"),
        ("${zz?{a}:b c}", "b c"),
        ("${zz?{a}:}", ""),
        ("${zz?{a}}", ""),
        ("$(f?{a}:{b})", "a"),
        ("$(f?(x))", "(x)"),
        ("${f?x(}", "x("),
        ("${ta?{a{b}c}}", "a{b}c"),
        ("a}b{c", "a}b{c"),
        ("${f?x${ta}y}", "x1y"),
        ("${f?$$}", "$"),
        ("${{a} == {a}}", "true"),
        ("${{a} == {b}}", ""),
        ("${{a}=={a}?x}", "x"),
        ("${{a}!={b}?{x}:{y}}", "x"),
        ("${{a}=={a}:{x}}", ""),
        ("${{a}=={b}:{x}}", "x"),
        ("${{$f} == {F} ? {x$f} : y$f}", "xF"),
        ("${ {2} < {10} ? {num} : {str} }", "num"),
        ("${{02} == {2} ? {num} : {str}}", "num"),
        ("${{10}<{9a}?{str}:{num}}", "str"),
        ("${{ 1 } == {1} ? {t} : {f}}", "f"),
        ("${{}<{2}?{lt}:{ge}}", "lt"),
        ("${{b} >= {a} ? {ge}}${{a} <= {a} ? {le}}${{b} > {a} ? {gt}}", "gelegt"),
        ("${{3.10} >level {3.9} ? {t} : {f}}", "t"),
        ("${{$level} <level {3.6} ? {old} : {new}}", "new"),
        ("${{3.6}==level{3.6.0}?{same}}", "same"),
        ("${{3} <=level {3.6}?a}", "a"),
    ],
)
def test_forms(text: str, expected: str) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${foo", "never closed"),
        ("$(foo}", "never closed"),
        ("$/x", "without a name"),
        ("a $", "without a name"),
        ("${}", "name is missing"),
        ("${f-bar}", 'expected "\\?" or ":" at "-bar"'),
        ("${f?{a}b}", 'expected ":" at "b"'),
        ("${f?{a}:{b}c}", 'nothing may follow at "c"'),
        ("${f:{a}:{b}}", 'nothing may follow at ":{b}"'),
        ("${{a} ~ {b}}", "expected one of == !="),
        ("${{a}}", "expected one of == !="),
        ("${{a} = {b}}", "expected one of == !="),
        ("${{a} == b}", 'expected "{"'),
        ("${{a} == {b}", "never closed"),
        ("${{x} <level {3.6}?a}", "bad compatibility level"),
        ("${{" + "9" * 20 + "} == {1}}", "more than 19 digits"),
    ],
)
def test_errors_say_where(text: str, message: str) -> None:
    with pytest.raises(ExpansionError, match=message):
        value(text)


def test_a_branch_that_is_not_chosen_is_not_expanded() -> None:
    seen: list[str] = []

    def lookup(name: str) -> str:
        seen.append(name)
        return ""

    assert expand("${a?{$b}:{$c}}", lookup) == ""
    assert seen == ["a", "c"]


def test_nesting_is_bounded() -> None:
    deep = "${f?" * (MAX_DEPTH + 2) + "x" + "}" * (MAX_DEPTH + 2)
    with pytest.raises(ExpansionError, match="inside each other"):
        value(deep)
    assert value("${f?" * MAX_DEPTH + "x" + "}" * MAX_DEPTH) == "x"


def test_values_are_not_expanded_again() -> None:
    assert expand("$a", {"a": "$b"}.get) == "$b"


@given(st.text(alphabet="${}()?:=<>! abf1", max_size=40))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    try:
        assert isinstance(value(text), str)
    except ExpansionError as error:
        assert str(error)


@given(st.text(max_size=60))
def test_a_doubled_dollar_is_the_text_itself(text: str) -> None:
    assert value(text.replace("$", "$$")) == text


def test_referenced_names() -> None:
    assert referenced("$a ${b?{$c}:{$(d)}} $$e ${{$f} == {g}} $$$h") == {"a", "b", "c", "d", "f", "h"}
