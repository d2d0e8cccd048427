#include "native/log_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace sterna::native {
namespace {

constexpr std::size_t kTailBytes = 8U << 10;

}  // namespace

LogPipe::LogPipe(Desk& desk, UniqueFd pipe, wire::Stream stream, std::function<std::uint64_t()> call)
    : desk_(desk), pipe_(std::move(pipe)), stream_(stream), call_(std::move(call)) {
  ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
}

LogPipe::~LogPipe() {
  if (pipe_) desk_.loop().remove(pipe_.get(), *this);
}

Status LogPipe::watch() {
  return desk_.loop().add(pipe_.get(), *this, EPOLLIN | EPOLLET);
}

void LogPipe::drain() {
  auto& scratch = desk_.loop().scratch();
  while (pipe_) {
    const ssize_t got = ::read(pipe_.get(), scratch.data(), scratch.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      desk_.loop().remove(pipe_.get(), *this);
      return pipe_.reset();
    }
    const std::string_view text(scratch.data(), static_cast<std::size_t>(got));
    tail_ += text;
    if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
    desk_.log(call_(), stream_, text);
  }
}

}  // namespace sterna::native
