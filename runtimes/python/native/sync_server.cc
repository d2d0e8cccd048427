#include "sync_server.h"

#include <algorithm>
#include <ctime>

#include "event.h"
#include "wire/messages.h"

namespace sterna::python {

using worker::Arrival;
using worker::Wait;

namespace {

constexpr std::size_t kFlushBytes = 64U << 10;
constexpr std::uint64_t kMaxHeldNs = 200'000;  // how long answers may wait for those of the next calls
constexpr std::size_t kMaxQueuedBytes = 32U << 20;

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

bool raise(const Error& error) {
  PyErr_SetString(PyExc_ConnectionError, error.detail.c_str());
  return false;
}

Ref take_exception() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace != nullptr) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return Ref(value);
}

}  // namespace

bool SyncServer::run() {
  while (!channel_.closed()) {
    if (!run_queued()) return false;
    const auto read = channel_.reader().next();
    if (!read) return raise(read.error());
    if (const std::optional<wire::Frame>& frame = *read) {
      if (!run_frame(*frame)) return false;
      continue;
    }
    channel_.flush();
    if (shutting_down_ || channel_.fill(Wait::kYes) == Channel::Filled::kEnd) break;
  }
  return true;
}

bool SyncServer::run_queued() {
  while (!queued_.empty()) {
    const Queued next = std::move(queued_.front());
    queued_.pop_front();
    queued_bytes_ -= next.payload.size();
    if (!run_call(next.id, next.payload)) return false;
  }
  return true;
}

bool SyncServer::run_frame(const wire::Frame& frame) {
  const bool is_whole = frame.type == wire::FrameType::kRequest && frame.more == wire::More::kNo;
  if (is_whole && frame.slot < wire::kSlots) return run_call({frame.call, frame.slot}, frame.payload);
  Result<Arrival> arrival = channel_.inbox().accept(frame);
  return arrival ? take_in(std::move(*arrival)) : raise(arrival.error());
}

bool SyncServer::run_call(CallId id, std::string_view payload) {
  if (!channel_.claim(id.slot, id.call)) return true;
  if (!prepare_event(payload)) return false;
  channel_.current_call = id.call;
  const std::uint64_t started = now_ns();
  Ref answer(PyObject_CallFunctionObjArgs(handle_, event_.get(), nullptr));
  const std::uint64_t run_ns = now_ns() - started;
  if (!answer || !write_common_answer(channel_, id, run_ns, answer.get())) {
    if (!finish_call(id, run_ns, std::move(answer))) return false;
  }
  release_event();
  channel_.current_call = 0;
  flush_unless_more_follows(run_ns);
  return true;
}

bool SyncServer::finish_call(CallId id, std::uint64_t run_ns, Ref answer) {
  const Ref exception = answer ? Ref() : take_exception();
  detach_event(event_.get());  // the next read may come while a generator still uses it
  window_ = wire::kInitialWindow;
  cancelled_ = false;
  const Ref call(PyLong_FromUnsignedLongLong(id.call));
  const Ref slot(PyLong_FromLong(id.slot));
  const Ref run(PyLong_FromUnsignedLongLong(run_ns));
  if (!call || !slot || !run) return false;
  return Ref(PyObject_CallFunctionObjArgs(finish_, call.get(), slot.get(), run.get(),
                                          answer ? answer.get() : Py_None,
                                          exception ? exception.get() : Py_None, nullptr))
             .get() != nullptr;
}

void SyncServer::flush_unless_more_follows(std::uint64_t run_ns) {
  held_ns_ += run_ns;
  const bool soon = channel_.out().size() <= kFlushBytes && held_ns_ <= kMaxHeldNs;
  if (soon && channel_.reader().has_frame() && flusher_.listens()) return;
  channel_.flush();
  held_ns_ = 0;
}

bool SyncServer::prepare_event(std::string_view payload) {
  if (event_) {
    const Status reused = reuse_event(event_.get(), payload);
    return reused ? true : raise(reused.error());
  }
  Result<Ref> made = make_event(payload);
  if (!made) return raise(made.error());
  event_ = std::move(*made);
  return static_cast<bool>(event_);
}

void SyncServer::release_event() {
  if (Py_REFCNT(event_.get()) == 1) return;
  detach_event(event_.get());
  event_.reset();
}

Py_ssize_t SyncServer::take_window(std::size_t wanted) {
  while (window_ == 0 && !cancelled_ && !channel_.closed()) {
    channel_.flush();
    if (!read_while_sending(Wait::kYes)) return -1;
  }
  if (cancelled_ || channel_.closed()) return 0;
  const std::uint64_t taken = std::min<std::uint64_t>(wanted, window_);
  window_ -= taken;
  return static_cast<Py_ssize_t>(taken);
}

std::optional<bool> SyncServer::is_cancelled() {
  if (!read_while_sending(Wait::kNo)) return std::nullopt;
  return cancelled_ || channel_.closed();
}

bool SyncServer::read_while_sending(Wait wait) {
  if (!channel_.reader().has_frame() && channel_.fill(wait) != Channel::Filled::kBytes) return true;
  while (true) {
    const auto read = channel_.reader().next();
    if (!read) return raise(read.error());
    const std::optional<wire::Frame>& frame = *read;
    if (!frame) return true;
    Result<Arrival> arrival = channel_.inbox().accept(*frame);
    if (!arrival) return raise(arrival.error());
    if (!take_in(std::move(*arrival))) return false;
  }
}

bool SyncServer::take_in(Arrival arrival) {
  const bool is_running = arrival.call == channel_.current_call;
  switch (arrival.kind) {
    case Arrival::Kind::kRequest:
      queued_bytes_ += arrival.payload.size();
      queued_.push_back({{arrival.call, arrival.slot}, std::move(arrival.payload)});
      if (queued_bytes_ > kMaxQueuedBytes || queued_.size() > wire::kSlots) {
        PyErr_SetString(PyExc_ConnectionError, "the server sends more calls than one worker may hold");
        return false;
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
    case Arrival::Kind::kNothing:
      break;
  }
  return true;
}

void SyncServer::drop_queued(std::uint64_t call) {
  const auto found =
      std::ranges::find_if(queued_, [call](const Queued& queued) { return queued.id.call == call; });
  if (found == queued_.end()) return;
  channel_.fail_call(found->id.slot, call, {.kind = wire::FailKind::kCancelled, .text = "cancelled"});
  queued_bytes_ -= found->payload.size();
  queued_.erase(found);
}

}  // namespace sterna::python
