// What the kernels need beyond CUDA C++: the few instructions that have no intrinsic.
#pragma once

#if defined(SN_EMULATE)
#include "emulator.h"
#else

namespace sn {

// max that lets a NaN through (fmaxf drops it).
__device__ __forceinline__ float max_nan(float a, float b) {
  float r;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
// Absolute error 2^-22 near 1; -inf for 0 and for subnormal numbers.
__device__ __forceinline__ float lg2(float a) {
  float r;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(a));
  return r;
}
// Relative error 2^-22; 0 where the result would be subnormal.
__device__ __forceinline__ float ex2(float a) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(a));
  return r;
}

// Asynchronous copies to shared memory: `valid` bytes are read (0: none), the rest is filled with
// 0.
__device__ __forceinline__ void copy16(float *to, const float *from, int valid) {
  unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(valid)
               : "memory");
}
__device__ __forceinline__ void copy4(float *to, const float *from, int valid) {
  unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(at), "l"(from), "r"(valid)
               : "memory");
}
__device__ __forceinline__ void copy_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int pending>
__device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

}  // namespace sn
#endif
