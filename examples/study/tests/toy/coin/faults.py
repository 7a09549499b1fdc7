"""For every theorem, a change of a function's result that its verification must notice."""

from twolayer.theory.toy.coin import hoeffding

from tests.theory.changes import scaled

FAULTS = {"mean": ("radius a third", hoeffding, "radius", scaled(1 / 3))}
QUICK = ("mean",)
