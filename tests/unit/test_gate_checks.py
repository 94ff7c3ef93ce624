"""What can be said against an answer without a model."""

from __future__ import annotations

import pytest
from gate_players import ASK

from nyxlab.errors import InputRefused
from nyxlab.gate.checks import failed_checks, repeats_endlessly, usability
from nyxlab.providers.messages import Reply
from nyxlab.providers.structured import read_json

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def problem(text, schema=None, stop="end"):
    return usability(ASK.model_copy(update={"output_schema": schema}))(Reply(text=text, provider="a:x", stop=stop))


@pytest.mark.parametrize(
    ("text", "schema", "stop", "words"),
    [
        ("fine", None, "end", None),
        ("fine but cut", None, "length", None),
        (" \n\t", None, "end", "empty answer"),
        ("I cannot help with that", None, "refusal", "declined"),
        ('{"n": 1}', OBJECT, "end", None),
        ('{"n": 1}', OBJECT, "length", "cut off at 100 tokens"),
        ('{"n": "1"}', OBJECT, "end", "$.n"),
        ('{"n": 1, "m": 2}', OBJECT, "end", "breaks the schema"),
        ('{"n": 1, "n": 2}', OBJECT, "end", "occurs twice"),
        ('```json\n{"n": 1}\n```', OBJECT, "end", "not the JSON asked for"),
        ('{"n": NaN}', OBJECT, "end", "NaN is not JSON"),
        ("[" * 100_000, {}, "end", "not the JSON asked for"),
        ("1", {"$ref": "http://127.0.0.1:9/s"}, "end", "the schema refers to something"),
    ],
)
def test_usable_means_it_can_be_used(text, schema, stop, words):
    """An answer can be used when it is there and, under a schema, is exactly the JSON asked for."""
    found = problem(text, schema, stop)
    assert found is None if words is None else words in found


def test_schema_that_is_none_is_refused_before_the_call():
    """A schema that is no JSON Schema is the user's mistake, found before anything is paid."""
    with pytest.raises(InputRefused, match="not a JSON Schema"):
        usability(ASK.model_copy(update={"output_schema": {"type": "strange"}}))


@pytest.mark.parametrize(
    ("text", "endless"),
    [
        ("Start. " + "I am a loop. " * 40, True),
        ("Start. " + "I am a loop. " * 40 + "I am a", True),
        ("x" * 240, True),
        ("word " * 5, False),
        ("# A\n\n" + "-" * 500, False),
        ("| a | b |\n" * 5, False),
        (" ".join(f"point {n} is made" for n in range(200)), False),
        ("", False),
    ],
)
def test_endless_repetition(text, endless):
    """A text that ends in one piece over and over is caught in a loop; drawn rules and lists are not."""
    assert repeats_endlessly(text) is endless


def test_failed_checks_name_answer_check_and_problem():
    """Each failed check says whose answer it was, which check, and what is wrong."""
    answers = [("a:x", Reply(text="loop " * 60, provider="a:x", stop="length")), ("b:x", Reply(text="G", provider="b"))]
    found = [(c.provider, c.check) for c in failed_checks(ASK, answers)]
    assert found == [("a:x", "whole"), ("a:x", "repetition")]


def test_json_is_read_strictly():
    """What follows the JSON is not overlooked."""
    with pytest.raises(ValueError, match="Extra data"):
        read_json('{"a": 1} and more')
