#include "../strict_float.h"

#include "simd_avx512.h"

#include "isa.h"

namespace sortnet {

extern const Kernels avx512_kernels = kernels_of();

} // namespace sortnet
