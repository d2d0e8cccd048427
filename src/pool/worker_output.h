// The pipe that is a worker's stdout and stderr for all that does not go through LOG frames.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "net/loop.h"

namespace sterna::pool {

// What a worker writes beyond its share of a turn, here or on its socket, may wait, and its writer with it:
// this much of the loop's time goes to others.
inline constexpr Duration kWriterPause = std::chrono::milliseconds(2);

class WorkerOutput final : public net::EventHandler {
 public:
  // Whole lines, or as much of one as is kept.
  using OnText = std::function<void(std::string_view text)>;

  WorkerOutput(net::Loop& loop, UniqueFd pipe, OnText on_text);
  ~WorkerOutput() override { close(); }

  void on_event(std::uint32_t events) override;
  // Reads what the dead process still left in it.
  void drain();

 private:
  // Whether there may be more, of which the kernel does not tell again.
  enum class Left : std::uint8_t { kNothing, kPerhapsMore };

  Left read(std::size_t share);
  void take(std::string_view text);
  void close();

  net::Loop& loop_;
  UniqueFd pipe_;
  const OnText on_text_;
  std::string line_;  // the last one, which has no end yet
  std::optional<net::Loop::TimerId> pause_;
};

}  // namespace sterna::pool
