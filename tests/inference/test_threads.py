"""Pins prefetching and background calls: same items, same order, few at a time, and no error lost."""

import threading
import time

import pytest

from inference.threads import BackgroundCalls, prefetch


def test_items_come_in_order_and_few_are_made_before_they_are_asked_for():
    made = []

    def items():
        for index in range(20):
            made.append(index)
            yield index

    got = []
    for item in prefetch(items(), depth=2):
        time.sleep(0.005)
        got.append(item)
        assert len(made) <= item + 1 + 3
    assert got == made == list(range(20))


def test_items_are_made_while_others_are_used():
    second = threading.Event()

    def items():
        yield 1
        second.set()
        yield 2

    stream = prefetch(items())
    assert next(stream) == 1 and second.wait(20)  # before anyone asks for it
    assert list(stream) == [2]


def test_what_making_an_item_raises_is_raised_in_its_place():
    def items():
        yield 1
        raise OSError("no such frame")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(OSError, match="no such frame"):
        next(stream)


def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    stream = prefetch(iter(range(1000)))
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_calls_are_made_in_order_and_done_at_the_end():
    done = []
    with BackgroundCalls() as calls:
        for index in range(30):
            calls.call(lambda i: (time.sleep(0.001), done.append(i)), index)
            assert index - len(done) <= calls.depth + 1
    assert done == list(range(30))


@pytest.mark.parametrize("last", [True, False])
def test_what_a_call_raises_is_raised(last):
    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), BackgroundCalls(depth=1) as calls:
        calls.call(fail)
        if not last:
            for _ in range(5):
                calls.call(int)


def test_an_error_of_the_caller_cancels_what_waits():
    done, go = [], threading.Event()
    with pytest.raises(KeyboardInterrupt), BackgroundCalls(depth=5) as calls:
        calls.call(go.wait)
        calls.call(done.append, 1)
        threading.Timer(0.2, go.set).start()
        raise KeyboardInterrupt
    assert not done
