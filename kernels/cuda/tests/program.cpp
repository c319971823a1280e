// One device program for the emulated driver: its kernels by name. SN_PROGRAM, SN_P and SN_TOPK as
// in device/program.cu.
#include "../device/program.cu"

extern "C" __attribute__((visibility("default"))) int sn_emulate(const char *name,
                                                                 const unsigned *grid,
                                                                 unsigned threads,
                                                                 void **parameters) {
#define SN_KERNEL(kernel)                                                                       \
  if (std::strcmp(name, #kernel) == 0) {                                                        \
    if (parameters) emulate::run(sn::kernel, {grid[0], grid[1], grid[2]}, threads, parameters); \
    return 0;                                                                                   \
  }
#if SN_PROGRAM == 1
  SN_KERNEL(sn_power_prepare)
  SN_KERNEL(sn_power_backward)
  SN_KERNEL(sn_power_dx)
  SN_KERNEL(sn_power_forward)
  SN_KERNEL(sn_power_forward_gather)
#elif SN_PROGRAM == 2
  SN_KERNEL(sn_sort_forward)
  SN_KERNEL(sn_sort_forward_gather)
  SN_KERNEL(sn_sort_select)
  SN_KERNEL(sn_sort_bounds)
#else
  SN_KERNEL(sn_mask_index)
  SN_KERNEL(sn_max_forward)
  SN_KERNEL(sn_max_forward_gather)
  SN_KERNEL(sn_max_select)
  SN_KERNEL(sn_max_select_gather)
  SN_KERNEL(sn_scatter_dx)
  SN_KERNEL(sn_scatter_dw)
  SN_KERNEL(sn_scatter_dcoef)
  SN_KERNEL(sn_check_rows)
  SN_KERNEL(sn_max_bounds)
  SN_KERNEL(sn_power_bounds)
  SN_KERNEL(sn_sort_any)
  SN_KERNEL(sn_sort_bounds_any)
#endif
  return 1;
}
