"""Ratios against the usual way, measured side by side: ``python -m tests.benchmarks``.

Each module holds one benchmark and, beside it, the straightforward implementation that it is
measured against: plain jitted jnp, as a careful user would write it.
"""
