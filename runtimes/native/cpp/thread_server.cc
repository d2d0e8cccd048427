#include "native/cpp/thread_server.h"

#include <algorithm>
#include <system_error>

namespace sterna::native {

ThreadServer::ThreadServer(worker::Channel& channel, worker::MutexGuard& guard, CppHandler handler,
                           std::size_t threads)
    : channel_(channel), mutex_(guard.mutex()), handler_(handler) {
  try {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back(&ThreadServer::work, this);
  } catch (const std::system_error&) {
    if (threads_.empty()) throw;  // limits.max_pids: fewer will do
  }
}

ThreadServer::~ThreadServer() {
  stopping_ = true;
  arrived_.notify_all();
  worker::Guard& guard = channel_.guard();
  const worker::Guard::Pause paused(guard);
  for (std::thread& thread : threads_) thread.join();
}

Status ThreadServer::run() {
  while (!channel_.closed()) {
    while (true) {
      const auto read = channel_.reader().next();
      if (!read) return std::unexpected(read.error());
      const std::optional<wire::Frame>& frame = *read;
      if (!frame) break;
      auto arrival = channel_.inbox().accept(*frame);
      if (!arrival) return std::unexpected(arrival.error());
      take_in(std::move(*arrival));
    }
    if (shutting_down_) {
      std::unique_lock lock(mutex_, std::adopt_lock);
      ended_.wait(lock, [this] { return idle(); });
      lock.release();
      break;
    }
    if (channel_.fill(worker::Wait::kYes) == worker::Channel::Filled::kEnd) break;
  }
  for (const auto& [call, window] : running_) window->cancel();
  return {};
}

void ThreadServer::take_in(worker::Arrival arrival) {
  using Kind = worker::Arrival::Kind;
  const auto running = running_.find(arrival.call);
  switch (arrival.kind) {
    case Kind::kRequest:
      queued_.push_back({{arrival.call, arrival.slot}, std::move(arrival.payload)});
      arrived_.notify_one();
      break;
    case Kind::kWindow:
      if (running != running_.end()) running->second->widen(arrival.bytes);
      break;
    case Kind::kCancel:
      if (running != running_.end()) running->second->cancel();
      cancel(arrival.slot, arrival.call);
      break;
    case Kind::kCancelUnstarted:
      channel_.fail_call(arrival.slot, arrival.call,
                         {.kind = wire::FailKind::kCancelled, .text = "cancelled"});
      channel_.flush();
      break;
    case Kind::kShutdown:
      shutting_down_ = true;
      break;
    case Kind::kBody:  // of workers that take parts
    case Kind::kNothing:
      break;
  }
}

void ThreadServer::cancel(std::uint16_t slot, std::uint64_t call) {
  const auto erased = std::erase_if(queued_, [call](const Queued& each) { return each.id.call == call; });
  if (erased == 0) return;
  channel_.fail_call(slot, call, {.kind = wire::FailKind::kCancelled, .text = "cancelled"});
  channel_.flush();
}

void ThreadServer::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    arrived_.wait(lock, [this] { return stopping_ || !queued_.empty(); });
    if (queued_.empty()) return;
    const Queued next = std::move(queued_.front());
    queued_.pop_front();
    if (channel_.claim(next.id.slot, next.id.call)) {
      Window window(channel_, mutex_);
      running_[next.id.call] = &window;
      CppCall(channel_, mutex_, window, next.id).run(handler_, next.payload);
      running_.erase(next.id.call);
    }
    channel_.flush();
    ended_.notify_all();
  }
}

std::size_t ThreadServer::Window::take(std::size_t wanted) {
  channel_.flush();
  std::unique_lock lock(mutex_, std::adopt_lock);
  changed_.wait(lock, [this] { return bytes_ > 0 || is_cancelled(); });
  lock.release();
  if (is_cancelled()) return 0;
  const std::size_t taken = std::min<std::uint64_t>(wanted, bytes_);
  bytes_ -= taken;
  return taken;
}

void ThreadServer::Window::widen(std::uint32_t bytes) {
  bytes_ += bytes;
  changed_.notify_all();
}

void ThreadServer::Window::cancel() {
  cancelled_ = true;
  changed_.notify_all();
}

}  // namespace sterna::native
