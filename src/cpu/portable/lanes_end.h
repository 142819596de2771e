/* lanes_end.h: forgets one element type's names, so that the next lanes header can be included. */
#undef REAL
#undef REAL_DTYPE
#undef NAME
#undef FN
#undef NR
#undef VL
#undef V_HALVES
#undef MR
#undef LANES_F64
#undef LANES_BF16
#undef STORE
#undef LOAD
#undef KEEP
#undef MATH
#undef PER
#undef WIDENS
#undef OPERAND
