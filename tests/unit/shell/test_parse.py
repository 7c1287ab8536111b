"""Commands, words, places and inputs of shell texts, the odd corners of the grammar included."""

import pytest

from tallystick.shell.parse import Parsed, parse, version


def words(parsed: Parsed) -> list[list[str | None]]:
    """The words of each command as it is given them."""
    return [[word.text for word in command.words] for command in parsed.commands if command.words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b 'c d' \"e f\" g\\ h", [["a", "b", "c d", "e f", "g h"]]),
        ("$'a\\tb' c", [["a\tb", "c"]]),
        ("a; b && c || d", [["a"], ["b"], ["c"], ["d"]]),
        ("a | b |& c", [["a"], ["b"], ["c"]]),
        ("(a; b)", [["a"], ["b"]]),
        ("{ a; b; }", [["a"], ["b"]]),
        ("if a; then b; else c; fi", [["a"], ["b"], ["c"]]),
        ("for i in 1 2; do a $i; done", [["a", None]]),
        ("while a; do b; done", [["a"], ["b"]]),
        ("case x in a) b;; *) c;; esac", [["b"], ["c"]]),
        ("f() { a; }; f", [["a"], ["f"]]),
        ("a \\\n  b", [["a", "b"]]),
        ("# a\nb # c", [["b"]]),
        ("a > out 2>&1 < in b c", [["a", "b", "c"]]),
        ("> out a b", [["a", "b"]]),
        ("a < in b | c", [["a", "b"], ["c"]]),
        ("! a", [["a"]]),
        ("echo $(a b) `c`", [["echo", None, None], ["a", "b"], ["c"]]),
        ("diff <(a) >(b)", [["diff", "<(a)", ">(b)"], ["a"], ["b"]]),
        ("a b 'unterminated", [["a", "b"]]),
        ("", []),
    ],
)
def test_commands_are_told_apart(text: str, expected: list[list[str | None]]) -> None:
    assert words(parse(text)) == expected


def test_a_dash_before_a_here_document_is_not_lost() -> None:
    """The grammar loses it; then the interpreter reads its program from there all the same."""
    (command,) = parse("python - <<'EOF'\nimport x\nEOF").commands
    assert command.words[0].text == "python"
    assert command.stdin == "import x\n"


@pytest.mark.parametrize("tail", [" --lr 1", " > out.txt", " | tee log", " && ls"])
def test_what_stands_behind_the_opener_belongs_to_the_line(tail: str) -> None:
    parsed = parse(f"python -{' ' if tail else ''}<<EOF{tail}\nimport x\nEOF\nlast")
    assert parsed.commands[0].stdin == "import x\n"
    assert words(parsed)[-1] == ["last"]
    assert not any("import" in str(each) for each in words(parsed))


def test_a_document_feeds_the_consumer_of_a_pipeline() -> None:
    parsed = parse("cat <<EOF | bash\npython train.py\nEOF")
    assert words(parsed) == [["cat"], ["bash"]]
    assert parsed.commands[1].piped_from == 0
    assert parsed.commands[0].stdin == "python train.py\n"


def test_two_documents_of_one_command_are_no_commands() -> None:
    parsed = parse("a <<X 3<<Y\npython x\nX\npython y\nY\nb")
    assert words(parsed) == [["a"], ["b"]]


def test_indented_and_quoted_delimiters() -> None:
    parsed = parse("cat <<-'END OF'\n\tpython x\n\tEND OF\nls")
    assert words(parsed) == [["cat"], ["ls"]]


def test_substitutions_in_an_open_document_are_commands_and_in_a_quoted_one_not() -> None:
    assert ["a", "b"] in words(parse("cat <<EOF\n$(a b)\nEOF"))
    assert words(parse("cat <<'EOF'\n$(a b)\nEOF")) == [["cat"]]


def test_spans_count_characters() -> None:
    text = "echo 'größer'; nohup b 'ü' & c"
    found = [text[slice(*command.span)] for command in parse(text).commands]
    assert found == ["echo 'größer'", "nohup b 'ü'", "c"]
    assert [command.background for command in parse(text).commands] == [False, True, False]


def test_where_output_goes_is_known() -> None:
    found = [
        (command.words[0].text, command.into.text if command.into else None, command.appends)
        for command in parse("a > x; b >> y; c 2> z; d &> w; e <<E > v\nE\nf | g > u").commands
    ]
    assert found == [
        ("a", "x", False), ("b", "y", True), ("c", None, False), ("d", "w", False),
        ("e", "v", False), ("f", None, False), ("g", "u", False),
    ]  # fmt: skip


def test_loops_and_statements_have_their_parts() -> None:
    parsed = parse("cd x\nfor lr in 0.1 0.01; do\n  a $lr\ndone &\nwait")
    kinds = [(each.kind, each.background) for each in parsed.statements]
    assert kinds == [("command", False), ("for", True), ("command", False)]
    (loop,) = parsed.loops
    assert (loop.variable, [word.text for word in loop.values]) == ("lr", ["0.1", "0.01"])
    assert parsed.statements[1].values == ("0.1", "0.01")


def test_values_that_an_expansion_decides_are_no_texts() -> None:
    (command,) = parse('a $X ${Y:-1} *.py {1..3} ~/b $((1+1)) "$Z"').commands
    assert [word.text for word in command.words][:3] == ["a", None, None]
    assert command.words[-1].text is None
    assert parse("for i in {1..3}; do a; done").statements[0].values is None


def test_assignments_stand_before_their_command() -> None:
    (command,) = parse("A=1 B='x y' C=$D a").commands
    assert command.assignments == (("A", "1"), ("B", "x y"), ("C", None))


def test_a_long_text_is_read_so_far_and_it_is_said() -> None:
    parsed = parse("a b\n" * 10_000)
    assert parsed.is_cut
    assert 0 < len(parsed.commands) <= 2_000


def test_the_parser_has_a_name_for_records() -> None:
    assert version().startswith("tree-sitter-bash 0.")
