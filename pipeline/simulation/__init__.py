"""A simulated quarter of work whose true rates are known: planned by a seed, done through the real functions."""
