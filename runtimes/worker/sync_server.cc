#include "worker/sync_server.h"

#include <algorithm>
#include <ctime>

#include "wire/messages.h"

namespace sterna::worker {
namespace {

constexpr std::size_t kFlushBytes = 64U << 10;
constexpr std::uint64_t kMaxHeldNs = 200'000;  // how long answers may wait for those of the next calls
constexpr std::size_t kMaxQueuedBytes = 32U << 20;

}  // namespace

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

Status SyncServer::run() {
  while (!channel_.closed()) {
    if (Status ran = run_queued(); !ran) return ran;
    const auto read = channel_.reader().next();
    if (!read) return std::unexpected(read.error());
    if (const std::optional<wire::Frame>& frame = *read) {
      if (Status ran = run_frame(*frame); !ran) return ran;
      continue;
    }
    channel_.flush();
    if (shutting_down_ || channel_.fill(Wait::kYes) == Channel::Filled::kEnd) break;
  }
  return {};
}

Status SyncServer::run_queued() {
  while (!queued_.empty()) {
    const Queued next = std::move(queued_.front());
    queued_.pop_front();
    queued_bytes_ -= next.payload.size();
    if (Status ran = run_call(next.id, next.payload); !ran) return ran;
  }
  return {};
}

Status SyncServer::run_frame(const wire::Frame& frame) {
  const bool is_whole = frame.type == wire::FrameType::kRequest && frame.more == wire::More::kNo;
  if (is_whole && frame.slot < wire::kSlots) return run_call({frame.call, frame.slot}, frame.payload);
  Result<Arrival> arrival = channel_.inbox().accept(frame);
  if (!arrival) return std::unexpected(arrival.error());
  return take_in(std::move(*arrival));
}

Status SyncServer::run_call(CallId id, std::string_view payload) {
  if (!channel_.claim(id.slot, id.call)) return {};
  window_ = wire::kInitialWindow;
  cancelled_ = false;
  channel_.current_call = id.call;
  const auto run_ns = run_handler(id, payload);
  if (!run_ns) return std::unexpected(run_ns.error());
  channel_.current_call = 0;
  flush_unless_more_follows(*run_ns);
  return {};
}

void SyncServer::flush_unless_more_follows(std::uint64_t run_ns) {
  held_ns_ += run_ns;
  const bool soon = channel_.out().size() <= kFlushBytes && held_ns_ <= kMaxHeldNs;
  if (soon && channel_.reader().has_frame() && flusher_.listens()) return;
  channel_.flush();
  held_ns_ = 0;
}

Result<std::size_t> SyncServer::take_window(std::size_t wanted) {
  while (window_ == 0 && !cancelled_ && !channel_.closed()) {
    channel_.flush();
    if (const Status read = read_while_sending(Wait::kYes); !read) return std::unexpected(read.error());
  }
  if (cancelled_ || channel_.closed()) return 0;
  const std::uint64_t taken = std::min<std::uint64_t>(wanted, window_);
  window_ -= taken;
  return static_cast<std::size_t>(taken);
}

Result<bool> SyncServer::is_cancelled() {
  if (const Status read = read_while_sending(Wait::kNo); !read) return std::unexpected(read.error());
  return cancelled_ || channel_.closed();
}

Status SyncServer::read_while_sending(Wait wait) {
  if (!channel_.reader().has_frame() && channel_.fill(wait) != Channel::Filled::kBytes) return {};
  while (true) {
    const auto read = channel_.reader().next();
    if (!read) return std::unexpected(read.error());
    const std::optional<wire::Frame>& frame = *read;
    if (!frame) return {};
    Result<Arrival> arrival = channel_.inbox().accept(*frame);
    if (!arrival) return std::unexpected(arrival.error());
    if (Status taken = take_in(std::move(*arrival)); !taken) return taken;
  }
}

Status SyncServer::take_in(Arrival arrival) {
  const bool is_running = arrival.call == channel_.current_call;
  switch (arrival.kind) {
    case Arrival::Kind::kRequest:
      queued_bytes_ += arrival.payload.size();
      queued_.push_back({{arrival.call, arrival.slot}, std::move(arrival.payload)});
      if (queued_bytes_ > kMaxQueuedBytes || queued_.size() > wire::kSlots) {
        return fail(Code::kInvalid, Component::kWorker, "bad_frame",
                    "the server sends more calls than one worker may hold");
      }
      break;
    case Arrival::Kind::kWindow:
      if (is_running) window_ += arrival.bytes;
      break;
    case Arrival::Kind::kCancel:
      if (is_running) cancelled_ = true;
      drop_queued(arrival.call);
      break;
    case Arrival::Kind::kCancelUnstarted:
      channel_.fail_call(arrival.slot, arrival.call,
                         {.kind = wire::FailKind::kCancelled, .text = "cancelled"});
      break;
    case Arrival::Kind::kShutdown:
      shutting_down_ = true;
      break;
    case Arrival::Kind::kBody:  // of workers that take parts
    case Arrival::Kind::kNothing:
      break;
  }
  return {};
}

void SyncServer::drop_queued(std::uint64_t call) {
  const auto found =
      std::ranges::find_if(queued_, [call](const Queued& queued) { return queued.id.call == call; });
  if (found == queued_.end()) return;
  channel_.fail_call(found->id.slot, call, {.kind = wire::FailKind::kCancelled, .text = "cancelled"});
  queued_bytes_ -= found->payload.size();
  queued_.erase(found);
}

}  // namespace sterna::worker
