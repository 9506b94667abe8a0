"""Work done by many threads at once."""

import threading


def together(work, *arguments):
    """Call work(argument) for each argument, every call in a thread of its own, and wait for all."""
    threads = [threading.Thread(target=work, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
