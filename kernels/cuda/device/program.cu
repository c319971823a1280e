// One program of the kernels: SN_PROGRAM names which (0: base, 1: powers, 2: sort).
#if SN_PROGRAM == 1
#include "lp.cuh"
#elif SN_PROGRAM == 2
#include "sort.cuh"
#else
#include "base.cuh"
#endif
