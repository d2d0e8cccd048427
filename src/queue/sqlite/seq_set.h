// A set of sequence numbers that is small where they stand close together: about a bit for each.
#pragma once

#include <bitset>
#include <cstdint>
#include <unordered_map>

namespace sterna::queue::sqlite {

// Loop only.
class SeqSet {
 public:
  // False when it was in already.
  bool insert(std::uint64_t seq) {
    auto bit = blocks_[seq / kBlock][seq % kBlock];
    if (bit) return false;
    bit = true;
    ++size_;
    return true;
  }
  // False when it was not in.
  bool erase(std::uint64_t seq) {
    const auto found = blocks_.find(seq / kBlock);
    if (found == blocks_.end() || !found->second[seq % kBlock]) return false;
    found->second.reset(seq % kBlock);
    --size_;
    if (found->second.none()) blocks_.erase(found);
    return true;
  }
  bool contains(std::uint64_t seq) const {
    const auto found = blocks_.find(seq / kBlock);
    return found != blocks_.end() && found->second[seq % kBlock];
  }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kBlock = 512;
  std::unordered_map<std::uint64_t, std::bitset<kBlock>> blocks_;
  std::size_t size_ = 0;
};

}  // namespace sterna::queue::sqlite
