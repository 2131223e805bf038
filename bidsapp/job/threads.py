"""The same work for several items at a time, by threads: numpy and the writers of images let others run."""

from concurrent.futures import ThreadPoolExecutor


def map_in_threads(function, items, n_threads):
    """Return the results of a function for all items, in their order; the first failure is raised."""
    if min(n_threads, len(items)) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            return list(pool.map(function, items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
