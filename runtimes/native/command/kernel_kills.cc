#include "native/command/kernel_kills.h"

#include <fstream>
#include <string>

namespace sterna::native {

std::optional<std::uint64_t> kernel_kills() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  std::uint64_t count = 0;
  while (file >> name >> count) {
    if (name == "oom_kill") return count;
  }
  return std::nullopt;
}

}  // namespace sterna::native
