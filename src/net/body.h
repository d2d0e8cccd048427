// The body of one request: in memory while small, in an unlinked file when large, never without a bound.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::net {

// What goes to the file is gathered first: clients that send a body in parts of a byte cost no write for
// each.
inline constexpr std::size_t kGathered = 64U << 10;
// Where the memory of all bodies has no room for that. Not counted.
inline constexpr std::size_t kLeastGathered = 4U << 10;

// How much memory all bodies together may take, and where the rest goes. Shared by all threads.
struct BodyBudget {
  std::size_t memory_limit = 64U << 20;  // bytes, all bodies together
  std::size_t body_limit = 256U << 10;   // bytes, one body
  std::string spool_dir = "/tmp";        // for O_TMPFILE files: nothing is left behind after a crash
  std::atomic<std::size_t> in_use = 0;
};

// One thread at a time.
class Body {
 public:
  explicit Body(BodyBudget& budget) : budget_(budget) {}
  ~Body() { clear(); }
  // Leaves an empty body of the same budget behind.
  Body(Body&& other) noexcept
      : budget_(other.budget_),
        memory_(std::exchange(other.memory_, {})),
        file_(std::move(other.file_)),
        spooled_(std::exchange(other.spooled_, 0)),
        tail_(std::exchange(other.tail_, {})),
        tail_room_(std::exchange(other.tail_room_, 0)) {}
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  // Fails with io when the spool cannot be written.
  Status append(std::string_view part);
  void clear();

  std::uint64_t size() const { return memory_.size() + spooled_ + tail_.size(); }
  // The part that stays in memory; bytes [0, memory().size()) of the body.
  std::string_view memory() const { return memory_; }
  bool spooled() const { return static_cast<bool>(file_); }
  // Appends up to `limit` bytes from `offset` to `out`; answers how many.
  Result<std::size_t> read(std::uint64_t offset, std::size_t limit, std::string& out) const;
  // All of it. Fails with io when what is on disk cannot be read.
  Result<std::string> bytes() const;

 private:
  Status spool(std::string_view part);
  Status open_file();
  Status write(std::string_view part);

  BodyBudget& budget_;
  std::string memory_;
  UniqueFd file_;
  std::uint64_t spooled_ = 0;  // bytes in the file, behind those of memory_
  std::string tail_;           // what follows them
  std::size_t tail_room_ = 0;
};

}  // namespace sterna::net
