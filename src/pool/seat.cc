#include "pool/seat.h"

#include <utility>

namespace sterna::pool {

Seat::Seat(std::size_t& all, std::shared_ptr<SpaceShare> share, std::uint64_t memory_bytes, Kind kind)
    : all_(&all),
      share_(std::move(share)),
      memory_bytes_(memory_bytes),
      on_trial_(share_ && kind == Kind::kTrial) {
  ++*all_;
  if (share_) share_->used.add(memory_bytes_);
  if (on_trial_) share_->on_trial.add(memory_bytes_);
}

Seat::Seat(Seat&& other) noexcept {
  *this = std::move(other);
}

Seat& Seat::operator=(Seat&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  all_ = std::exchange(other.all_, nullptr);
  share_ = std::move(other.share_);
  memory_bytes_ = other.memory_bytes_;
  leaving_ = std::exchange(other.leaving_, false);
  on_trial_ = std::exchange(other.on_trial_, false);
  return *this;
}

void Seat::end_trial() {
  if (std::exchange(on_trial_, false)) share_->on_trial.remove(memory_bytes_);
}

void Seat::leave() {
  if (!share_ || std::exchange(leaving_, true)) return;
  end_trial();
  share_->leaving.add(memory_bytes_);
}

void Seat::give_back() {
  if (!taken()) return;
  --*std::exchange(all_, nullptr);
  end_trial();
  const std::shared_ptr<SpaceShare> share = std::exchange(share_, nullptr);
  if (!share) return;
  share->used.remove(memory_bytes_);
  if (std::exchange(leaving_, false)) share->leaving.remove(memory_bytes_);
}

}  // namespace sterna::pool
