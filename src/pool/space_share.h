// How many workers the functions of a space have together, and may have.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sterna::pool {

// Loop only. 0: no limit.
struct SpaceShare {
  std::size_t max_replicas = 0;
  std::uint64_t max_memory_bytes = 0;  // of memory_bytes of all of them

  struct Sum {
    std::size_t replicas = 0;
    std::uint64_t memory_bytes = 0;

    void add(std::uint64_t of_memory_bytes) {
      ++replicas;
      memory_bytes += of_memory_bytes;
    }
    void remove(std::uint64_t of_memory_bytes) {
      --replicas;
      memory_bytes -= of_memory_bytes;
    }
  };
  Sum used;
  Sum leaving;   // of those: they have been told to go, and take no more calls
  Sum on_trial;  // of those: beyond the share, to see whether a new version loads

  // For one more worker with so much memory; and once those that leave are gone.
  bool has_room(std::uint64_t more_memory_bytes) const {
    return fits({.replicas = used.replicas + 1, .memory_bytes = used.memory_bytes + more_memory_bytes});
  }
  bool will_have_room(std::uint64_t more_memory_bytes) const {
    const Sum left = stays();
    return fits({.replicas = left.replicas + 1, .memory_bytes = left.memory_bytes + more_memory_bytes});
  }
  // Whether one more may be tried beyond the share: the only one, those that leave included, because they may
  // have calls yet.
  bool may_try() const { return on_trial.replicas == 0 && fits(used); }
  // Whether there are more than there may be, apart from those that leave or are tried.
  bool is_over() const {
    const Sum left = stays();
    return !fits({.replicas = left.replicas - on_trial.replicas,
                  .memory_bytes = left.memory_bytes - on_trial.memory_bytes});
  }

 private:
  Sum stays() const {
    return {.replicas = used.replicas - leaving.replicas,
            .memory_bytes = used.memory_bytes - leaving.memory_bytes};
  }
  bool fits(const Sum& sum) const {
    return (max_replicas == 0 || sum.replicas <= max_replicas) &&
           (max_memory_bytes == 0 || sum.memory_bytes <= max_memory_bytes);
  }
};

}  // namespace sterna::pool
