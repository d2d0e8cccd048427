// One worker's place among those that all functions have together, and in its space's share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "pool/space_share.h"

namespace sterna::pool {

// Loop only. Counted until it is given back, at the latest at its end.
class Seat {
 public:
  enum class Kind : std::uint8_t {
    kOwn,
    kTrial,  // beyond the share, to see whether a new version loads
  };

  Seat() = default;  // takes none
  // `all` counts the workers of all functions and outlives the seat. Without a share it is not limited.
  Seat(std::size_t& all, std::shared_ptr<SpaceShare> share, std::uint64_t memory_bytes, Kind kind);
  Seat(Seat&& other) noexcept;
  Seat& operator=(Seat&& other) noexcept;
  ~Seat() { give_back(); }

  bool taken() const { return all_ != nullptr; }
  // The worker is ready, or will not be: nothing is tried any more.
  void end_trial();
  // The worker has been told to go, and takes no more calls.
  void leave();
  void give_back();

 private:
  std::size_t* all_ = nullptr;
  std::shared_ptr<SpaceShare> share_;
  std::uint64_t memory_bytes_ = 0;
  bool leaving_ = false;
  bool on_trial_ = false;
};

}  // namespace sterna::pool
