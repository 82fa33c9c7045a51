"""Whole vector registers for the compiled kernels, where LLVM does not find the way by itself.

Written as loads, shuffles and stores of eight float32, which LLVM turns into the instructions of any processor. Arrays
are flat, contiguous float32, places in them int64; nothing is checked.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_N = 8
_VECTOR = ir.VectorType(ir.FloatType(), _N)
_FAST = ("fast",)


def _places(*items) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), _N), items)


class _Memory:
    """Loads and stores at offset n of array number a of an intrinsic's arguments."""

    def __init__(self, context, builder, signature, arguments):
        self.builder = builder
        self.data = {
            a: context.make_array(kind)(context, builder, arguments[a]).data
            for a, kind in enumerate(signature.args)
            if isinstance(kind, types.Array)
        }

    def _address(self, a, offset):
        place = self.builder.gep(self.data[a], [offset])
        return self.builder.bitcast(place, _VECTOR.as_pointer())

    def load(self, a, offset):
        value = self.builder.load(self._address(a, offset))
        value.align = 4
        return value

    def store(self, a, offset, value):
        self.builder.store(value, self._address(a, offset)).align = 4


@intrinsic
def transpose_8x8(typing_context, source, source_at, source_stride, target, target_at, target_stride):
    """target[target_at + x target_stride + y] = source[source_at + y source_stride + x] for x, y in 0 to 7.

    As a plain double loop this takes three times as long.
    """

    def generate(context, builder, signature, arguments):
        memory = _Memory(context, builder, signature, arguments)

        def offset(at, stride, n):
            return builder.add(arguments[at], builder.mul(arguments[stride], ir.Constant(ir.IntType(64), n)))

        rows = [memory.load(0, offset(1, 2, n)) for n in range(_N)]
        for half in (1, 2, 4):  # exchange single elements, then pairs, then halves between rows so far apart
            for n in range(_N):
                if not n & half:
                    a, b = rows[n], rows[n + half]
                    low = _places(*(_N + x - half if x & half else x for x in range(_N)))
                    high = _places(*(_N + x if x & half else x + half for x in range(_N)))
                    rows[n], rows[n + half] = builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high)
        for n in range(_N):
            memory.store(3, offset(4, 5, n), rows[n])
        return context.get_dummy_value()

    return types.void(source, source_at, source_stride, target, target_at, target_stride), generate


@intrinsic
def add_blend(typing_context, source, a_at, b_at, weight_a, weight_b, target, target_at, count):
    """target += weight_a source[a_at:] + weight_b source[b_at:] for `count` elements, a literal multiple of 8.

    A plain loop would check at every call whether source and target overlap.
    """
    if not isinstance(count, types.IntegerLiteral) or count.literal_value % _N:
        return None
    blocks = range(0, count.literal_value, _N)

    def generate(context, builder, signature, arguments):
        memory = _Memory(context, builder, signature, arguments)

        def at(argument, n):
            return builder.add(arguments[argument], ir.Constant(ir.IntType(64), n))

        def splat(x):
            first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(first, first, _places(*[0] * _N))

        a, b = splat(arguments[3]), splat(arguments[4])
        for n in blocks:
            sum_b = builder.fmul(b, memory.load(0, at(2, n)), flags=_FAST)
            sum_ab = builder.fadd(builder.fmul(a, memory.load(0, at(1, n)), flags=_FAST), sum_b, flags=_FAST)
            memory.store(5, at(6, n), builder.fadd(memory.load(5, at(6, n)), sum_ab, flags=_FAST))
        return context.get_dummy_value()

    return types.void(source, a_at, b_at, weight_a, weight_b, target, target_at, count), generate
