"""The changes of a module's code that its checks must notice, found by Cosmic Ray's operators."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.work_item import MutationSpec

# One or two changes of each kind of operator: those left out, such as a shift of bits for a sum of
# floats, raise a TypeError wherever they are run, and would only raise the score.
OPERATORS = [
    f"core/{name}"
    for name in (
        "ReplaceBinaryOperator_Add_Sub",
        "ReplaceBinaryOperator_Sub_Add",
        "ReplaceBinaryOperator_Mul_Div",
        "ReplaceBinaryOperator_Div_Mul",
        "ReplaceBinaryOperator_FloorDiv_Mul",
        "ReplaceBinaryOperator_Mod_Mul",
        "ReplaceBinaryOperator_Pow_Mul",
        "ReplaceBinaryOperator_BitAnd_BitOr",
        "ReplaceBinaryOperator_BitOr_BitAnd",
        "ReplaceComparisonOperator_Lt_GtE",
        "ReplaceComparisonOperator_LtE_Gt",
        "ReplaceComparisonOperator_Gt_LtE",
        "ReplaceComparisonOperator_GtE_Lt",
        "ReplaceComparisonOperator_Lt_LtE",
        "ReplaceComparisonOperator_LtE_Lt",
        "ReplaceComparisonOperator_Gt_GtE",
        "ReplaceComparisonOperator_GtE_Gt",
        "ReplaceComparisonOperator_Eq_NotEq",
        "ReplaceComparisonOperator_NotEq_Eq",
        "ReplaceComparisonOperator_Is_IsNot",
        "ReplaceComparisonOperator_IsNot_Is",
        "ReplaceUnaryOperator_Delete_USub",
        "ReplaceUnaryOperator_Delete_Invert",
        "ReplaceUnaryOperator_Delete_Not",
        "ReplaceTrueWithFalse",
        "ReplaceFalseWithTrue",
        "ReplaceAndWithOr",
        "ReplaceOrWithAnd",
        "NumberReplacer",
        "ZeroIterationForLoop",
    )
]

Span = tuple[tuple[int, int], tuple[int, int]]


def of(path: Path) -> list[MutationSpec]:
    """All changes of a module, in the order of its lines, but for annotations."""
    annotations = list(_annotations(ast.parse(path.read_text())))
    tree = get_ast_from_path(path)
    found = []
    for name in OPERATORS:
        operator = cosmic_ray.plugins.get_operator(name)()
        positions = (
            (node, start, end)
            for node in ast_nodes(tree)
            for start, end in operator.mutation_positions(node)
        )
        # An operator's changes are counted over the whole module.
        for occurrence, (node, start, end) in enumerate(positions):
            # A star between parameters is taken for a product.
            marker = node.parent.type in ("parameters", "lambdef")
            if not (marker or any(first <= start < last for first, last in annotations)):
                definition = ASTQuery(node).get_definition_name()
                found.append(
                    MutationSpec(path, name, occurrence, start, end, definition_name=definition)
                )
    return sorted(found, key=lambda spec: (spec.start_pos, spec.operator_name, spec.occurrence))


def sample(changes: list[MutationSpec], count: int, seed: int) -> list[MutationSpec]:
    """So many of them at random, or all if there are no more; the first k are those of count k."""
    shuffled = random.Random(seed).sample(changes, len(changes))
    return shuffled[:count]


def _annotations(tree: ast.Module) -> Iterator[Span]:
    for node in ast.walk(tree):
        for each in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(each, ast.expr) and each.end_lineno and each.end_col_offset:
                yield (each.lineno, each.col_offset), (each.end_lineno, each.end_col_offset)
