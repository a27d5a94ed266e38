"""Reading ahead of, and writing behind, what takes the time: one thread each, in order, with few items in between."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

DEPTH = 2  # items under way on either side

Item = TypeVar("Item")


def one_thread() -> ThreadPoolExecutor:
    """A thread whose tensors are computed by itself alone, so that it takes no core from the network's threads."""
    return ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Iterator[Item]:
    """The same items, made in a thread, up to `depth` before they are asked for. What making them raises is raised."""
    source, end = iter(items), object()
    with one_thread() as reader:
        pending = deque(reader.submit(next, source, end) for _ in range(depth))
        while (item := pending.popleft().result()) is not end:
            pending.append(reader.submit(next, source, end))
            yield item


class Behind:
    """Makes calls in a thread, in order; whoever is `depth` calls ahead of it waits.

    A context manager: at its end all calls are done. What a call raises is raised by a later one, or at the end.
    """

    def __init__(self, depth: int = DEPTH):
        self.depth, self.pending = depth, deque()

    def __enter__(self) -> "Behind":
        self.thread = one_thread()
        return self

    def call(self, work: Callable, *arguments) -> None:
        """Makes `work(*arguments)` happen."""
        if len(self.pending) == self.depth:
            self.pending.popleft().result()
        self.pending.append(self.thread.submit(work, *arguments))

    def __exit__(self, kind, error, trace) -> None:
        try:
            while self.pending and kind is None:
                self.pending.popleft().result()
        finally:
            self.thread.shutdown(cancel_futures=True)
