"""Work beside the network: items read before they are needed, and calls made in the background.

Each uses one thread, keeps the order, and holds only a few items at a time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

DEPTH = 2  # items in progress: enough to keep both sides busy

Item = TypeVar("Item")


def one_thread() -> ThreadPoolExecutor:
    """A pool of one thread. PyTorch uses no other thread for its work, which leaves the cores to the network."""
    return ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))


def prefetch(items: Iterable[Item], depth: int = DEPTH) -> Iterator[Item]:
    """Yields the same items, but a thread computes up to `depth` of them in advance.

    An error raised while computing an item is raised when that item is due.
    """
    source, end = iter(items), object()
    with one_thread() as reader:
        pending = deque(reader.submit(next, source, end) for _ in range(depth))
        while (item := pending.popleft().result()) is not end:
            pending.append(reader.submit(next, source, end))
            yield item


class BackgroundCalls:
    """A context manager that makes calls in a thread, in order, and waits at its end until all are done.

    Only one thread may use `call`. It waits while `depth` earlier calls are unfinished. An error in a call is raised by
    a later `call` or at the end of the context. If the caller leaves with an error, calls not yet begun are cancelled.
    """

    def __init__(self, depth: int = DEPTH):
        self.depth, self.pending = depth, deque()

    def __enter__(self) -> "BackgroundCalls":
        self.thread = one_thread()
        return self

    def call(self, work: Callable, *arguments) -> None:
        """Queues `work(*arguments)`. Raises what an earlier call raised."""
        if len(self.pending) == self.depth:
            self.pending.popleft().result()
        self.pending.append(self.thread.submit(work, *arguments))

    def __exit__(self, kind, error, trace) -> None:
        try:
            while self.pending and kind is None:
                self.pending.popleft().result()
        finally:
            self.thread.shutdown(cancel_futures=True)
