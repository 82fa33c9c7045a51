"""Whole vector registers for the compiled kernels, where LLVM does not find the way by itself.

Written as loads, shuffles and stores of eight numbers, which LLVM turns into the instructions of any processor. Arrays
are flat and contiguous, of float32 where nothing else is said, places in them int64; nothing is checked.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_N = 8
_INT = ir.IntType(64)
_VECTOR = ir.VectorType(ir.FloatType(), _N)
_FAST = ("fast",)
_ALIGNED = 2  # bytes, what uint16 are aligned to


def _places(*items) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), _N), items)


class _Memory:
    """Arrays among an intrinsic's arguments, by their number: single items, and vectors of eight."""

    def __init__(self, context, builder, signature, arguments):
        self.builder = builder
        self.data = {
            a: context.make_array(kind)(context, builder, arguments[a]).data
            for a, kind in enumerate(signature.args)
            if isinstance(kind, types.Array)
        }

    def at(self, place, n: int, stride=1):
        """place + n stride."""
        step = ir.Constant(_INT, n * stride) if isinstance(stride, int) else self.builder.mul(stride, _constant(n))
        return self.builder.add(place, step)

    def _address(self, a, place):
        pointer = self.builder.gep(self.data[a], [place])
        return self.builder.bitcast(pointer, ir.VectorType(pointer.type.pointee, _N).as_pointer())

    def item(self, a, place):
        return self.builder.load(self.builder.gep(self.data[a], [place]))

    def splat(self, a, place):
        """The item at a place of an array, eight times."""
        first = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), self.item(a, place), _place(0))
        return self.builder.shuffle_vector(first, first, _places(*[0] * _N))

    def load(self, a, place):
        value = self.builder.load(self._address(a, place))
        value.align = _ALIGNED
        return value

    def load_16_bits(self, a, place):
        """Eight uint16 as float32."""
        wide = self.builder.zext(self.load(a, place), ir.VectorType(ir.IntType(32), _N))
        return self.builder.sitofp(wide, _VECTOR)

    def store(self, a, place, value):
        self.builder.store(value, self._address(a, place)).align = _ALIGNED

    def blend(self, weight_a, a, weight_b, b):
        product = self.builder.fmul(weight_b, b, flags=_FAST)
        return self.builder.fadd(self.builder.fmul(weight_a, a, flags=_FAST), product, flags=_FAST)

    def transposed(self, rows):
        """Eight vectors as the columns of what they were the rows of."""
        rows = list(rows)
        for half in (1, 2, 4):  # exchange single elements, then pairs, then halves between rows so far apart
            for n in range(_N):
                if not n & half:
                    a, b = rows[n], rows[n + half]
                    low = _places(*(_N + x - half if x & half else x for x in range(_N)))
                    high = _places(*(_N + x if x & half else x + half for x in range(_N)))
                    rows[n], rows[n + half] = (self.builder.shuffle_vector(a, b, places) for places in (low, high))
        return rows


def _constant(n: int) -> ir.Constant:
    return ir.Constant(_INT, n)


def _place(n: int) -> ir.Constant:
    return ir.Constant(ir.IntType(32), n)


@intrinsic
def transpose(typing_context, source, source_at, source_stride, target, target_at, target_stride, length):
    """target[target_at + y target_stride + x] = source[source_at + x source_stride + y]; y to 7, x to length - 1.

    length: at least 8. Arrays of one type, float32 or uint16. As a plain double loop this takes several times as long.
    """

    def generate(context, builder, signature, arguments):
        memory = _Memory(context, builder, signature, arguments)
        _, source_at, source_stride, _, target_at, target_stride, length = arguments
        last = builder.sub(length, _constant(_N))
        with cgutils.for_range(builder, builder.sdiv(builder.add(length, _constant(_N - 1)), _constant(_N))) as loop:
            x = builder.mul(loop.index, _constant(_N))
            x = builder.select(builder.icmp_signed("<", x, last), x, last)
            at = builder.add(source_at, builder.mul(x, source_stride))
            rows = [memory.load(0, memory.at(at, n, source_stride)) for n in range(_N)]
            at = builder.add(target_at, x)
            for n, row in enumerate(memory.transposed(rows)):
                memory.store(3, memory.at(at, n, target_stride), row)
        return context.get_dummy_value()

    return types.void(source, source_at, source_stride, target, target_at, target_stride, length), generate


@intrinsic
def blend_transposed(
    typing_context, source, places, stride, weight_a, weight_b, first, blocks, last, target, target_at, target_stride
):
    """Blends two rows of uint16 into each of eight lines, and stores them transposed.

    target[target_at + x target_stride + n] = weight_a[n] source[places[n] + x] + weight_b[n] source[places[n] + stride
    + x], where n, counted from `first` in the tables, runs to 7, and x through blocks of 8, the last of which begins
    at `last` rather than beyond it.
    """

    def generate(context, builder, signature, arguments):
        memory = _Memory(context, builder, signature, arguments)
        _, _, stride, _, _, first, blocks, last, _, target_at, target_stride = arguments
        lines = [memory.at(first, n) for n in range(_N)]
        places = [memory.item(1, line) for line in lines]
        weights = [(memory.splat(3, line), memory.splat(4, line)) for line in lines]
        with cgutils.for_range(builder, blocks) as loop:
            x = builder.mul(loop.index, _constant(_N))
            x = builder.select(builder.icmp_signed("<", x, last), x, last)
            rows = []
            for place, (a, b) in zip(places, weights, strict=True):
                at = builder.add(place, x)
                rows.append(
                    memory.blend(a, memory.load_16_bits(0, at), b, memory.load_16_bits(0, builder.add(at, stride)))
                )
            at = builder.add(target_at, builder.mul(x, target_stride))
            for n, row in enumerate(memory.transposed(rows)):
                memory.store(8, memory.at(at, n, target_stride), row)
        return context.get_dummy_value()

    signature = types.void(
        source, places, stride, weight_a, weight_b, first, blocks, last, target, target_at, target_stride
    )
    return signature, generate


@intrinsic
def add_blends(
    typing_context, source, source_step, index, weight_a, weight_b, table_step, first, end, target, tables, lines
):
    """target[c lines + n] += weight_a[c] source[i lines + n] + weight_b[c] source[(i + 1) lines + n], i = index[c].

    n runs to lines - 1, a literal multiple of 8, and c from first to end - 1. There are a literal number of tables,
    table_step apart, each with a source of its own, source_step apart; their sum is added at once, so that the target
    is loaded and stored less often.
    """
    if not isinstance(lines, types.IntegerLiteral) or not isinstance(tables, types.IntegerLiteral):
        return None

    def generate(context, builder, signature, arguments):
        memory = _Memory(context, builder, signature, arguments)
        _, source_step, _, _, _, table_step, first, end, _, _, _ = arguments
        stride = lines.literal_value
        with cgutils.for_range_slice(builder, first, end, _constant(1), intp=_INT) as (c, _):
            weighed = []
            for table in range(tables.literal_value):
                at = memory.at(c, table, table_step)
                i = builder.sext(memory.item(2, at), _INT)
                i = memory.at(builder.mul(i, _constant(stride)), table, source_step)
                weighed.append((i, memory.splat(3, at), memory.splat(4, at)))
            to = builder.mul(c, _constant(stride))
            for n in range(0, stride, _N):
                total = memory.load(8, memory.at(to, n))
                for i, a, b in weighed:
                    both = memory.blend(a, memory.load(0, memory.at(i, n)), b, memory.load(0, memory.at(i, n + stride)))
                    total = builder.fadd(total, both, flags=_FAST)
                memory.store(8, memory.at(to, n), total)
        return context.get_dummy_value()

    signature = types.void(
        source, source_step, index, weight_a, weight_b, table_step, first, end, target, tables, lines
    )
    return signature, generate
