// System calls that the kernel refuses, as a container's seccomp profile does: to this process and to what it runs.

#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace ringway_test {

// From now on `call` fails with `error` where its argument `which` is `value`. For a child: there is no way back. False: not possible here.
inline bool deny(std::uint32_t call, std::uint32_t which, std::uint32_t value, std::uint32_t error) {
  const auto argument = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * which);
  sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
                        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace ringway_test
