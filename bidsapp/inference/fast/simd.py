"""Instructions that numba does not write by itself: vectors of 64 points, and prefetching.

LLVM does not turn the loops of the screening kernels into vector code by itself: it keeps NaN semantics in
a maximum and cannot tell the arrays apart. These functions spell the vectors out (they are legal on every
processor; a narrow one splits them) and run about ten times faster. ``add_rows`` and ``weigh_rows`` add
``n_rows`` rows of BLOCK float32 values, store the sums and return the largest absolute one. Arrays are
passed by address: the caller keeps them alive.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.core.base import BaseContext
from numba.core.typing.context import Context
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

# Writes the instructions of a call with a builder and the values of its arguments; returns its value.
Write: TypeAlias = Callable[..., ir.Value | None]

# Points side by side: four vectors of 16 lanes, enough independent sums to hide the latency of an addition.
BLOCK = 64
LANES = 16
N_VECTORS = BLOCK // LANES
FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR, INT_VECTOR = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)
# All bits but the sign of a single-precision number, and all.
NO_SIGN, ALL_BITS = 0x7FFFFFFF, 0xFFFFFFFF


def instruction(result: types.Type, *arguments: types.Type) -> Callable[[Write], Any]:
    """Return a decorator that makes what is written a function of compiled code, of these types."""

    def decorate(write: Write) -> Any:
        def generate(
            context: BaseContext, builder: ir.IRBuilder, signature: Signature, values: Sequence[ir.Value]
        ) -> ir.Value:
            value = write(builder, *values)
            return context.get_dummy_value() if value is None else value

        def define(typingctx: Context, *given: types.Type) -> tuple[Signature, Any]:
            return result(*arguments), generate

        # By this, numba knows how many arguments a call takes.
        define.__signature__ = inspect.signature(write)  # type: ignore[attr-defined]
        define.__name__, define.__doc__ = write.__name__, write.__doc__
        return intrinsic(define)

    return decorate


@instruction(types.void, types.uintp)
def prefetch(builder: ir.IRBuilder, address: ir.Value) -> None:
    """Ask for the memory at an address: it is in the cache when it is read a little later."""
    pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
    function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
    # To be read, kept near, data.
    builder.call(function, [builder.inttoptr(address, pointer), number(0), number(3), number(1)])


@instruction(types.float32, types.uintp, types.uintp, types.intp, types.uintp)
def add_rows(
    builder: ir.IRBuilder, table: ir.Value, rows: ir.Value, n_rows: ir.Value, sums: ir.Value
) -> ir.Value:
    """Add the rows of a table whose numbers are listed.

    ``table`` float32 (n, BLOCK), ``rows`` int32 (n_rows,), ``sums`` float32 (BLOCK,).
    """
    numbers = builder.inttoptr(rows, INT32.as_pointer())

    def step(i: ir.Value, k: int, so_far: ir.Value) -> ir.Value:
        number = builder.zext(builder.load(builder.gep(numbers, [i])), INT64)
        return builder.fadd(so_far, _load(builder, table, number, k))

    return _finish(builder, _accumulate(builder, n_rows, step), sums)


@instruction(types.float32, types.uintp, types.uintp, types.intp, types.uintp)
def weigh_rows(
    builder: ir.IRBuilder, data: ir.Value, weights: ir.Value, n_rows: ir.Value, sums: ir.Value
) -> ir.Value:
    """Add the rows of a block of data, each times its weight.

    ``data`` float32 (n_rows, BLOCK), ``weights`` float32 (n_rows,), ``sums`` float32 (BLOCK,).
    """
    scalars = builder.inttoptr(weights, FLOAT.as_pointer())

    # "contract": multiplication and addition may be one instruction, rounded once.
    def step(i: ir.Value, k: int, so_far: ir.Value) -> ir.Value:
        weight = _spread(builder, builder.load(builder.gep(scalars, [i])), VECTOR)
        product = builder.fmul(_load(builder, data, i, k), weight, flags=("contract",))
        return builder.fadd(so_far, product, flags=("contract",))

    return _finish(builder, _accumulate(builder, n_rows, step), sums)


@instruction(types.boolean, types.uintp, types.uintp, types.uintp, types.float32, types.boolean)
def count_reached(
    builder: ir.IRBuilder,
    sums: ir.Value,
    observed: ir.Value,
    counts: ir.Value,
    margin: ir.Value,
    is_absolute: ir.Value,
) -> ir.Value:
    """Add 1 to ``counts`` int32 (BLOCK,) where the sums reach ``observed`` float32 (BLOCK,).

    Return whether any is nearer to its observed value than ``margin``.
    """
    kept = builder.select(is_absolute, INT32(NO_SIGN), INT32(ALL_BITS))
    kept, margin = _spread(builder, kept, INT_VECTOR), _spread(builder, margin, VECTOR)
    zero = ir.Constant(VECTOR, [0.0] * LANES)
    near = ir.Constant(ir.VectorType(ir.IntType(1), LANES), [0] * LANES)
    for k in range(N_VECTORS):
        bits = builder.bitcast(_load(builder, sums, INT64(0), k), INT_VECTOR)
        size = builder.bitcast(builder.and_(bits, kept), VECTOR)
        excess = builder.fsub(size, _load(builder, observed, INT64(0), k))
        pointer = _find(builder, counts, INT32, INT64(k * LANES), INT_VECTOR)
        reached = builder.zext(builder.fcmp_ordered(">=", excess, zero), INT_VECTOR)
        builder.store(builder.add(builder.load(pointer, align=4), reached), pointer, align=4)
        within = builder.fcmp_ordered("<", excess, margin)
        above = builder.fcmp_ordered(">", excess, builder.fsub(zero, margin))
        near = builder.or_(near, builder.and_(within, above))
    packed = builder.bitcast(near, ir.IntType(LANES))
    return builder.icmp_unsigned("!=", packed, ir.IntType(LANES)(0))


def _spread(builder: ir.IRBuilder, scalar: ir.Value, vector: ir.VectorType) -> ir.Value:
    """Return a vector of one value."""
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, scalar, INT32(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(INT_VECTOR, [0] * LANES))


def _load(builder: ir.IRBuilder, base: ir.Value, row: ir.Value, k: int) -> ir.Value:
    """Load vector k of a row."""
    offset = builder.add(builder.mul(row, INT64(BLOCK)), INT64(k * LANES))
    return builder.load(_find(builder, base, FLOAT, offset, VECTOR), align=4)


def _find(
    builder: ir.IRBuilder, base: ir.Value, kind: ir.Type, offset: ir.Value, vector: ir.VectorType
) -> ir.Value:
    """Return the pointer to a vector that begins so many numbers after an address."""
    start = builder.inttoptr(base, kind.as_pointer())
    return builder.bitcast(builder.gep(start, [offset]), vector.as_pointer())


def _accumulate(
    builder: ir.IRBuilder, n_rows: ir.Value, step: Callable[[ir.Value, int, ir.Value], ir.Value]
) -> list[ir.Value]:
    """Build the loop over rows; return the vectors of sums.

    A value that changes in a loop is a phi: 0 where the loop is entered, the new sum where it goes round.
    The sums leave the loop by phis, too, for with no rows the loop is passed by.
    """
    before = builder.block
    loop, done = builder.append_basic_block("rows"), builder.append_basic_block("rows.done")
    zero = ir.Constant(VECTOR, [0.0] * LANES)
    builder.cbranch(builder.icmp_signed(">", n_rows, INT64(0)), loop, done)
    builder.position_at_end(loop)
    i = builder.phi(INT64)
    so_far = [builder.phi(VECTOR) for _ in range(N_VECTORS)]
    after = [step(i, k, total) for k, total in enumerate(so_far)]
    following = builder.add(i, INT64(1))
    i.add_incoming(INT64(0), before)
    i.add_incoming(following, loop)
    for total, new in zip(so_far, after, strict=True):
        total.add_incoming(zero, before)
        total.add_incoming(new, loop)
    builder.cbranch(builder.icmp_signed("<", following, n_rows), loop, done)
    builder.position_at_end(done)
    totals = [builder.phi(VECTOR) for _ in range(N_VECTORS)]
    for total, new in zip(totals, after, strict=True):
        total.add_incoming(zero, before)
        total.add_incoming(new, loop)
    return totals


def _finish(builder: ir.IRBuilder, totals: Sequence[ir.Value], sums: ir.Value) -> ir.Value:
    """Store the sums; return the largest absolute one.

    The bit patterns of positive floats are in the order of the floats.
    """
    sizes, no_sign = [], ir.Constant(INT_VECTOR, [NO_SIGN] * LANES)
    for k, total in enumerate(totals):
        builder.store(total, _find(builder, sums, FLOAT, INT64(k * LANES), VECTOR), align=4)
        sizes.append(builder.and_(builder.bitcast(total, INT_VECTOR), no_sign))
    while len(sizes) > 1:
        sizes = [_larger(builder, a, b) for a, b in zip(sizes[::2], sizes[1::2], strict=True)]
    # The lanes of the one vector that is left: its halves are compared until one lane is.
    (largest,), width = sizes, LANES
    while width > 1:
        width //= 2
        halves = [_lanes(builder, largest, range(start, start + width)) for start in (0, width)]
        largest = _larger(builder, *halves)
    return builder.bitcast(builder.extract_element(largest, INT32(0)), FLOAT)


def _larger(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(builder.icmp_signed(">", a, b), a, b)


def _lanes(builder: ir.IRBuilder, vector: ir.Value, which: range) -> ir.Value:
    """Return some lanes of a vector."""
    mask = ir.Constant(ir.VectorType(INT32, len(which)), list(which))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)
