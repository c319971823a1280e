// The GPU kernels, where this machine has them: libsortnet_cuda.so beside this library, opened at run
// time so that a machine without a GPU needs nothing of it.
#ifndef SORTNET_ORT_GPU_H
#define SORTNET_ORT_GPU_H

#include "sortnet_cuda.h"

struct GpuKernels {
  decltype(&sn_cuda_available) available;
  decltype(&sn_cuda_last_error) last_error;
  decltype(&sn_cuda_store) store;
  decltype(&sn_cuda_drop) drop;
  decltype(&sn_cuda_sort_forward) sort_forward;
  decltype(&sn_cuda_sort_bounds) sort_bounds;
};

// Null where there is no library or no GPU that works.
const GpuKernels *gpu_kernels();

#endif
