// What a child process prints on one of its streams, as log lines.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "native/desk.h"
#include "net/loop.h"

namespace sterna::native {

class LogPipe final : public net::EventHandler {
 public:
  // Takes the read end. `call` tells whose the text is, 0 for none.
  LogPipe(Desk& desk, UniqueFd pipe, wire::Stream stream, std::function<std::uint64_t()> call);
  ~LogPipe() override;
  Status watch();

  // Takes what is there now.
  void drain();

  // The end of all that came, so that it can explain a failed start.
  const std::string& tail() const { return tail_; }

 private:
  void on_event(std::uint32_t) override { drain(); }

  Desk& desk_;
  UniqueFd pipe_;
  const wire::Stream stream_;
  const std::function<std::uint64_t()> call_;
  std::string tail_;
};

}  // namespace sterna::native
