#include "worker/flusher.h"

#include <unistd.h>

#include <system_error>

namespace sterna::worker {

Flusher::~Flusher() {
  if (thread_ == nullptr) return;
  if (owner_ != ::getpid()) {
    static_cast<void>(thread_.release());  // nothing runs here that could be waited for
    return;
  }
  stopping_ = true;
  channel_.claims().ring();
  const Guard::Pause paused(channel_.guard());
  thread_->join();
}

bool Flusher::start() {
  owner_ = ::getpid();
  try {
    thread_ = std::make_unique<std::thread>(&Flusher::run, this, channel_.claims().bell());
  } catch (const std::system_error&) {  // limits.max_pids
    failed_ = true;
  }
  return thread_ != nullptr;
}

void Flusher::run(std::uint32_t heard) {
  while (true) {
    heard = channel_.claims().wait_for_bell(heard);
    if (stopping_) return;
    const Guard::Visit visit(channel_.guard());
    channel_.flush();
  }
}

}  // namespace sterna::worker
