"""Many networks, settings, boards, lanes and seeds at once, as a graph of tasks on Dask."""
