// How many workers the functions of a space have together, and may have.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sterna::pool {

// Loop only. 0: no limit.
struct SpaceShare {
  std::size_t max_replicas = 0;
  std::uint64_t max_memory_bytes = 0;  // of memory_bytes of all of them
  std::size_t replicas = 0;
  std::uint64_t memory_bytes = 0;

  // For one more worker with so much memory.
  bool has_room(std::uint64_t more_memory_bytes) const {
    return (max_replicas == 0 || replicas < max_replicas) &&
           (max_memory_bytes == 0 || memory_bytes + more_memory_bytes <= max_memory_bytes);
  }
  bool is_over() const {
    return (max_replicas > 0 && replicas > max_replicas) ||
           (max_memory_bytes > 0 && memory_bytes > max_memory_bytes);
  }
  void add(std::uint64_t of_memory_bytes) {
    ++replicas;
    memory_bytes += of_memory_bytes;
  }
  void remove(std::uint64_t of_memory_bytes) {
    --replicas;
    memory_bytes -= of_memory_bytes;
  }
};

}  // namespace sterna::pool
