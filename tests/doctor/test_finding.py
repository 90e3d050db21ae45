"""A line of the report, and checks that fail."""

from __future__ import annotations

from mae_transfer.doctor.finding import Finding, reason, run_check


def test_a_line_has_state_name_what_was_found_and_what_to_do():
    assert str(Finding('t', 'torch', 'ok', '2.11')) == 'ok       torch: 2.11'
    line = str(Finding('t', 'timm', 'missing', 'not installed', 'pip install timm', needed=True))
    assert line == 'missing  timm: not installed: pip install timm'


def test_only_what_is_needed_fails():
    assert Finding('t', 'a', 'wrong', '', needed=True).is_failure
    assert Finding('t', 'a', 'missing', '', needed=True).is_failure
    assert not Finding('t', 'a', 'missing', '').is_failure and not Finding('t', 'a', 'ok', '', needed=True).is_failure


def test_a_check_that_fails_says_why_and_keeps_what_it_found():
    def check():
        yield Finding('t', 'first', 'ok', 'there')
        raise OSError('libcudart.so.12: cannot open\nsecond line')

    first, failed = run_check('t', 'libraries', check, True)
    assert first.state == 'ok'
    assert failed == Finding(
        't', 'libraries', 'wrong', 'cannot be looked at: OSError: libcudart.so.12: cannot open', '', True
    )


def test_an_error_without_words_has_its_name():
    assert reason(AssertionError()) == 'AssertionError'
